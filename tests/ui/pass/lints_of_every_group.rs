// Each lint is denied on each shape of an annotated function.
#![deny(warnings)]
// Editions to come.
#![deny(rust_2021_compatibility, rust_2024_compatibility, future_incompatible)]
// Idioms.
#![deny(
    rust_2018_idioms,
    elided_lifetimes_in_paths,
    single_use_lifetimes,
    explicit_outlives_requirements
)]
// Hygiene.
#![deny(
    nonstandard_style,
    non_ascii_idents,
    let_underscore,
    redundant_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    variant_size_differences,
    meta_variable_misuse,
    unit_bindings,
    redundant_imports
)]
// Reachability.
#![deny(
    unreachable_code,
    unreachable_patterns,
    unreachable_pub,
    unconditional_recursion
)]
// Safety.
#![deny(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    async_fn_in_trait,
    refining_impl_trait
)]
// Unused code.
#![deny(
    unused,
    unused_qualifications,
    unused_lifetimes,
    unused_results,
    unused_import_braces
)]
#![allow(dead_code)]

// With this, the bound that the macro writes could be found needlessly qualified.
#[allow(unused_imports)]
use txn::Source;
use txn::{Db, Sqlite, Tx, transactional};

#[transactional(nested, isolation = serializable, name = "shop.place")]
async fn place(tx: &mut Tx<Sqlite>, _order: i64) -> Result<(), txn::Error> {
    let done = sqlx::query("SELECT 1").execute(tx).await;
    done.map(drop)?;
    Ok(())
}

#[transactional(commit_on(_), rollback_on(n if *n > 5))]
async fn unused(_tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    Ok(5)
}

struct Shop {
    db: Db<Sqlite>,
}

impl Shop {
    #[transactional(self.db as tx, read_only)]
    async fn look(&self) -> Result<(), txn::Error> {
        if place(tx, 5).await.is_err() {
            return Ok(());
        }
        unused(tx).await.map(drop)
    }
}

fn main() {}
