//! Where a scope is in the source.

use std::fmt;

/// Where in the source a scope is: the annotated function, or the call that began it by hand. Shown as `src/bank.rs:42`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    file: &'static str,
    line: u32,
}

impl Location {
    pub(crate) const fn new(file: &'static str, line: u32) -> Self {
        Self { file, line }
    }

    /// The file, as the compiler was told of it.
    #[must_use]
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }
}

/// A place in the source at the size of a pointer, for what is kept in futures.
pub(crate) type Caller = &'static std::panic::Location<'static>;

impl From<Caller> for Location {
    fn from(caller: Caller) -> Self {
        Self::new(caller.file(), caller.line())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
