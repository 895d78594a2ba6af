//! What an engine lacks, as types: for where the engine is known when the annotation is compiled.
//!
//! Not a panic in `const` evaluation: an annotated function is generic over its source, so that one would be seen only
//! by a build of something that calls it, and by no `cargo check`.

use std::marker::PhantomData;

#[cfg(feature = "mysql")]
use sqlx::MySql;
#[cfg(feature = "postgres")]
use sqlx::Postgres;
#[cfg(feature = "sqlite")]
use sqlx::Sqlite;

/// Tells the engine of the session type `T` by its method `engine`: an inherent one where `T` names its engine, else
/// that of [`AnyEngine`].
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

/// An engine that is known when the scope opens.
#[derive(Debug)]
pub struct Unknown;

/// The engine of a `T` that does not name it.
pub trait AnyEngine: Sized {
    /// Can do everything, as far as one knows.
    fn engine(self) -> PhantomData<Unknown> {
        PhantomData
    }
}

impl<T> AnyEngine for EngineOf<T> {}

/// Has deferrable transactions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no deferrable transactions: remove `deferrable`",
    label = "only `Postgres` has them"
)]
pub trait HasDeferrable {}

/// Has isolation levels below serializable.
#[diagnostic::on_unimplemented(
    message = "`{Self}` runs every transaction serializable: write `isolation = serializable`, or leave `isolation` out",
    label = "`{Self}` has no other level"
)]
pub trait HasWeakIsolation {}

macro_rules! known {
    ($($feature:literal $engine:ident: $($has:ident)*;)*) => {$(
        #[cfg(feature = $feature)]
        impl EngineOf<crate::tx::Tx<$engine>> {
            /// Known.
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
