//! A table by names that live for ever: where a name is says which it is, and is quicker to hash
//! than its text.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::model::labels::ScopeKind;

pub(super) type ByName<T> = HashMap<Name, T, BuildHasherDefault<Mixed>>;

/// One name may be in several places; then it has several entries, of equal content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name {
    at: usize,
    length: usize,
    kind: ScopeKind,
}

impl Name {
    pub(super) fn new(name: &'static str, kind: ScopeKind) -> Self {
        Self {
            at: name.as_ptr().addr(),
            length: name.len(),
            kind,
        }
    }
}

/// Addresses are no attacker's choice: to mix their bits is enough.
#[derive(Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        /// An odd number without pattern, from the golden ratio.
        const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(SCATTER);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_place_length_and_kind() {
        let names = "bank.transfer";
        let mut table = ByName::default();
        for length in 0..=names.len() {
            table.insert(Name::new(&names[..length], ScopeKind::Root), length);
        }
        for length in 0..=names.len() {
            assert_eq!(
                table.get(&Name::new(&names[..length], ScopeKind::Root)),
                Some(&length)
            );
            assert!(!table.contains_key(&Name::new(&names[..length], ScopeKind::Nested)));
        }
    }
}
