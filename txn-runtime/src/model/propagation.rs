//! The propagation table: what opening a scope does, as one pure function of the annotation and of
//! where the caller is. The code that opens scopes carries out what [`resolve`] returns.

use crate::model::options::Propagation;

/// The position of the caller, outside or inside of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The caller passes a `Db`, a session, or anything else that is in no transaction.
    Outside,
    /// The caller passes the `tx` of an open scope.
    Inside,
}

/// The action that opening the scope comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Begin a transaction on the session of the caller, or on one from the pool.
    Begin,
    /// Run in the caller's transaction, which ends with the caller's scope.
    Join,
    /// Set a savepoint in the caller's transaction.
    Savepoint,
    /// Begin a transaction on a second session, beside the one of the caller.
    BeginAnother,
    /// Return an error without sending anything.
    Refuse,
}

/// Looks the action up.
pub(crate) const fn resolve(propagation: Propagation, place: Place) -> Action {
    match (propagation, place) {
        (Propagation::Mandatory, Place::Outside) => Action::Refuse,
        (_, Place::Outside) => Action::Begin,
        (Propagation::Required | Propagation::Mandatory, Place::Inside) => Action::Join,
        (Propagation::Nested, Place::Inside) => Action::Savepoint,
        (Propagation::RequiresNew, Place::Inside) => Action::BeginAnother,
    }
}

#[cfg(test)]
mod tests {
    use super::Action::{Begin, BeginAnother, Join, Refuse, Savepoint};
    use super::Place::{Inside, Outside};
    use super::Propagation::{Mandatory, Nested, Required, RequiresNew};
    use super::*;

    #[test]
    fn the_propagation_table() {
        for (propagation, outside, inside) in [
            (Required, Begin, Join),
            (Nested, Begin, Savepoint),
            (RequiresNew, Begin, BeginAnother),
            (Mandatory, Refuse, Join),
        ] {
            assert_eq!(resolve(propagation, Outside), outside, "{propagation:?}");
            assert_eq!(resolve(propagation, Inside), inside, "{propagation:?}");
        }
    }
}
