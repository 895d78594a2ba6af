//! Refuses at compile time what an engine lacks, if the session's type names its engine.
//!
//! It is done with trait bounds and not with a panic in `const` evaluation: an annotated function
//! is generic over its source, so `cargo check` would not see the panic, and a build would see it
//! only if something calls the function.

use std::marker::PhantomData;

#[cfg(feature = "mysql")]
use sqlx::MySql;
#[cfg(feature = "postgres")]
use sqlx::Postgres;
#[cfg(feature = "sqlite")]
use sqlx::Sqlite;

/// Finds the engine of the session type `T` by its method `engine`. If `T` names its engine, that
/// is an inherent method, which method lookup prefers; else it is the method of [`AnyEngine`].
#[derive(Debug)]
pub struct EngineOf<T>(PhantomData<T>);

impl<T> EngineOf<T> {
    /// Asks for the engine of `T`.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only generated code makes one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// An engine that is not known before the scope opens.
#[derive(Debug)]
pub struct Unknown;

/// The engine of a `T` that does not name it.
pub trait AnyEngine: Sized {
    /// Returns `Unknown`, which counts as able to do everything, so that nothing is refused.
    fn engine(self) -> PhantomData<Unknown> {
        PhantomData
    }
}

impl<T> AnyEngine for EngineOf<T> {}

/// An engine that has deferrable transactions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no deferrable transactions: remove `deferrable`",
    label = "only `Postgres` has them"
)]
pub trait HasDeferrable {}

/// An engine that has isolation levels below serializable.
#[diagnostic::on_unimplemented(
    message = "`{Self}` runs every transaction serializable: write `isolation = serializable`, or \
               leave `isolation` out",
    label = "`{Self}` has no other level"
)]
pub trait HasWeakIsolation {}

/// Says of each engine what it has.
macro_rules! known {
    ($($feature:literal $engine:ident: $($has:ident)*;)*) => {$(
        #[cfg(feature = $feature)]
        impl EngineOf<crate::tx::Tx<$engine>> {
            /// Returns the engine that the session's type names.
            #[must_use]
            pub const fn engine(self) -> PhantomData<$engine> {
                PhantomData
            }
        }

        $(
            #[cfg(feature = $feature)]
            #[diagnostic::do_not_recommend]
            impl $has for $engine {}
        )*
    )*};
}

known! {
    "mysql" MySql: HasWeakIsolation;
    "postgres" Postgres: HasDeferrable HasWeakIsolation;
    "sqlite" Sqlite:;
}

#[diagnostic::do_not_recommend]
impl HasDeferrable for Unknown {}
#[diagnostic::do_not_recommend]
impl HasWeakIsolation for Unknown {}
