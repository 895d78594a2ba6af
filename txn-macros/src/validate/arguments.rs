//! Every rule about which arguments exist, and which may stand together.

use std::time::Duration;

use proc_macro2::Ident;
use syn::{Expr, LitStr, Pat, Path};

use crate::args::{KEYS, RawArg, RawValue};
use crate::error::Errors;
use crate::text::{alternatives, nearest, text};

/// The arguments of an annotation, checked. An argument that was wrong has its default.
pub(crate) struct Args {
    pub(crate) propagation: Propagation,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) read_only: bool,
    pub(crate) deferrable: Option<Ident>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) commit_on: Option<Rule>,
    pub(crate) rollback_on: Option<Rule>,
    /// The function that turns an error of the scope into one of the user's.
    pub(crate) error: Option<Path>,
    /// The function that decides whether a return value commits.
    pub(crate) outcome: Option<Path>,
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Path,
}

/// How the scope relates to an open transaction. A key is kept for its span.
pub(crate) enum Propagation {
    Required,
    Nested,
    RequiresNew,
    Mandatory(Ident),
}

/// `isolation = level`
pub(crate) struct Isolation {
    /// The key, for its span.
    pub(crate) key: Ident,
    /// The name of the variant of `txn::Isolation`.
    pub(crate) level: &'static str,
}

/// `retry`, with its figures. For those that are `None`, the runtime has defaults.
pub(crate) struct Retry {
    /// The key, for its span.
    pub(crate) key: Ident,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) base_delay: Option<Duration>,
    pub(crate) max_delay: Option<Duration>,
}

impl Retry {
    /// Returns whether it has no figures.
    pub(crate) fn is_bare(&self) -> bool {
        self.max_attempts.is_none() && self.base_delay.is_none() && self.max_delay.is_none()
    }
}

/// `PATTERN if GUARD`
pub(crate) struct Rule {
    pub(crate) pat: Pat,
    pub(crate) guard: Option<Expr>,
}

/// Groups of arguments of which only one may be written.
const EXCLUSIVE: [&[&str]; 2] = [
    &["nested", "requires_new", "mandatory"],
    // Only a root scope is run again, and a mandatory scope never is one.
    &["retry", "mandatory"],
];

/// Pairs of an argument and one that it needs to take effect.
const NEEDS: [(&str, &str); 2] = [
    ("deferrable", "isolation = serializable"),
    ("deferrable", "read_only"),
];

/// Checks the arguments. Returns `None` if `crate` is wrong, because then nothing can be emitted.
pub(crate) fn validate(list: Vec<RawArg>, function: &str, errors: &mut Errors) -> Option<Args> {
    let mut check = Check {
        function,
        names: &KEYS,
        errors,
    };
    let mut list = check.unique(list);
    check.needs(&list);
    if check.exclusive(&list) {
        list.retain(|arg| {
            EXCLUSIVE
                .iter()
                .all(|group| !group.iter().any(|key| arg.key == key))
        });
    }
    let mut args = Args {
        propagation: Propagation::Required,
        isolation: None,
        read_only: false,
        deferrable: None,
        timeout: None,
        retry: None,
        commit_on: None,
        rollback_on: None,
        error: None,
        outcome: None,
        name: None,
        krate: syn::parse_quote!(::txn),
    };
    let mut known_paths = true;
    for arg in list {
        known_paths &= check.read(arg, &mut args);
    }
    known_paths.then_some(args)
}

/// Checks arguments one by one, and collects the errors.
pub(crate) struct Check<'a> {
    /// The name of the function, for the errors.
    pub(crate) function: &'a str,
    /// The names of all arguments of the attribute.
    pub(crate) names: &'a [&'a str],
    pub(crate) errors: &'a mut Errors,
}

impl Check<'_> {
    /// Returns the arguments that are known, each once, and reports the others.
    pub(crate) fn unique(&mut self, list: Vec<RawArg>) -> Vec<RawArg> {
        let mut kept: Vec<RawArg> = Vec::new();
        for arg in list {
            if !self.names.iter().any(|name| arg.key == name) {
                self.unknown(&arg);
            } else if kept.iter().any(|other| other.key == arg.key) {
                self.duplicate(&arg);
            } else {
                kept.push(arg);
            }
        }
        kept
    }

    /// Reports an argument that does not exist, with the one that was probably meant.
    fn unknown(&mut self, arg: &RawArg) {
        let key = arg.key.to_string();
        let function = self.function;
        let message = match nearest(&key, self.names) {
            Some(guess) => {
                format!("`{key}` on `{function}` is no argument, did you mean `{guess}`?")
            }
            None => format!("`{key}` on `{function}` is no argument"),
        };
        let valid = self.names.join("`, `");
        self.errors
            .at(&arg.key, format!("{message} (valid arguments: `{valid}`)"));
    }

    /// Reports an argument that is written twice.
    fn duplicate(&mut self, arg: &RawArg) {
        let (key, function) = (&arg.key, self.function);
        let advice = match &arg.value {
            RawValue::Listed(pattern) if key.to_string().ends_with("_on") => {
                format!("join the patterns, `{key}(… | {})`", text(pattern))
            }
            _ => format!("remove one `{key}`"),
        };
        self.errors.at(
            key,
            format!("`{key}` is there twice on `{function}`: {advice}"),
        );
    }

    /// Reports arguments that contradict each other. Returns whether there are any.
    fn exclusive(&mut self, list: &[RawArg]) -> bool {
        let mut clash = false;
        for group in EXCLUSIVE {
            let mut found = list
                .iter()
                .filter(|arg| group.iter().any(|key| arg.key == key));
            let Some(first) = found.next() else { continue };
            for other in found {
                clash = true;
                self.errors.at(
                    &other.key,
                    format!(
                        "`{}` and `{}` contradict each other on `{}`: keep one of {}",
                        first.key,
                        other.key,
                        self.function,
                        alternatives(group),
                    ),
                );
            }
        }
        clash
    }

    /// Reports arguments that lack one that they need.
    fn needs(&mut self, list: &[RawArg]) {
        let written: Vec<String> = list.iter().map(RawArg::written).collect();
        for arg in list {
            let missing: Vec<&str> = NEEDS
                .iter()
                .filter(|(key, needed)| arg.key == key && !written.iter().any(|one| one == needed))
                .map(|(_, needed)| *needed)
                .collect();
            if !missing.is_empty() {
                let (key, fix) = (&arg.key, missing.join(", "));
                let message = format!(
                    "`{key}` on `{}` takes effect only in a read-only serializable transaction: \
                     write `{fix}, {key}`",
                    self.function,
                );
                self.errors.at(key, message);
            }
        }
    }
}

impl RawArg {
    /// The argument as it was written: `isolation = serializable`.
    fn written(&self) -> String {
        match &self.value {
            RawValue::Assigned(value) => format!("{} = {}", self.key, text(value)),
            _ => self.key.to_string(),
        }
    }

    /// The value as it was written: `serializable`.
    pub(super) fn written_value(&self) -> String {
        text(self.value.tokens())
    }
}
