//! What opening a scope comes to: one pure function.

use crate::model::options::Propagation;

/// Where the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Outside,
    Inside,
}

/// What opening the scope does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Begin,
    Join,
    Savepoint,
    /// Begin on another session.
    BeginAnother,
    Refuse,
}

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
