//! Where a scope is in the source.

use std::fmt;

/// The place of a scope in the source: the annotated function, or the call that began it by hand.
/// Shown as `src/bank.rs:42`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The path, as it was passed to the compiler.
    file: &'static str,
    /// The line, from 1.
    line: u32,
}

impl Location {
    /// A place that the macro, or the compiler, has told.
    pub(crate) const fn new(file: &'static str, line: u32) -> Self {
        Self { file, line }
    }

    /// The path of the file, as it was passed to the compiler.
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

/// A place in the source in one pointer. Futures and guards keep this instead of a [`Location`],
/// which is three times as large.
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
