//! Every rule about the value of an argument.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Lit, LitStr, Pat, Path, Token};

use super::arguments::{Args, Check, Isolation, Propagation, Rule};
use crate::args::{RawArg, RawValue};
use crate::text::{alternatives, nearest, text};

/// The isolation levels: as they are written, and as the variants are named.
const LEVELS: [(&str, &str); 4] = [
    ("read_uncommitted", "ReadUncommitted"),
    ("read_committed", "ReadCommitted"),
    ("repeatable_read", "RepeatableRead"),
    ("serializable", "Serializable"),
];

impl Check<'_> {
    /// Reads the value of one argument. Returns false if it is wrong and nothing can be emitted
    /// without it.
    pub(super) fn read(&mut self, arg: RawArg, args: &mut Args) -> bool {
        let key = arg.key.unraw().to_string();
        let essential = key == "crate";
        let done = match key.as_str() {
            "commit_on" => self.rule(&arg).map(|rule| args.commit_on = Some(rule)),
            "rollback_on" => self.rule(&arg).map(|rule| args.rollback_on = Some(rule)),
            "isolation" => self
                .isolation(arg)
                .map(|level| args.isolation = Some(level)),
            "retry" => self.retry(&arg).map(|retry| args.retry = Some(retry)),
            "timeout" => self.duration(&arg).map(|limit| args.timeout = Some(limit)),
            "name" => self
                .text(&arg, "bank.transfer")
                .map(|name| args.name = Some(name)),
            "error" => self
                .path(&arg, "to_error")
                .map(|path| args.error = Some(path)),
            "outcome" => self
                .path(&arg, "verdict")
                .map(|path| args.outcome = Some(path)),
            "crate" => self
                .path(&arg, "path::to::txn")
                .map(|path| args.krate = path),
            _ => self.flag(arg).map(|key| set_flag(key, args)),
        };
        done.is_some() || !essential
    }

    /// Reads an argument that has no value.
    fn flag(&mut self, arg: RawArg) -> Option<Ident> {
        if let RawValue::Bare = arg.value {
            return Some(arg.key);
        }
        if let RawValue::Other(next) = &arg.value
            && is_word(next)
        {
            let fix = format!("{}, {}", arg.key, text(next));
            self.refuse(&arg, "lacks a comma after it", &fix);
            return None;
        }
        self.refuse(&arg, "takes no value", &arg.key.to_string());
        None
    }

    /// Reads `isolation = level`.
    fn isolation(&mut self, arg: RawArg) -> Option<Isolation> {
        let written = text(arg.value.tokens());
        if let RawValue::Bare = arg.value {
            self.refuse(&arg, "needs a level", "isolation = serializable");
            return None;
        }
        let level = LEVELS.iter().find(|(name, _)| *name == written);
        if let (RawValue::Assigned(_), Some((_, level))) = (&arg.value, level) {
            return Some(Isolation {
                key: arg.key,
                level,
            });
        }
        if let Some((name, _)) = LEVELS
            .iter()
            .find(|(name, _)| letters(name) == letters(&written))
        {
            let wrong = format!("is a plain word, not `{}`", arg.written_value());
            self.refuse(&arg, &wrong, &format!("isolation = {name}"));
            return None;
        }
        self.unknown_level(&arg, &written);
        None
    }

    /// Reports a level that does not exist, with the one that was probably meant.
    fn unknown_level(&mut self, arg: &RawArg, written: &str) {
        let names = LEVELS.map(|(name, _)| name);
        let guess = match nearest(&letters(written), &names) {
            Some(guess) => format!(", did you mean `{guess}`?"),
            None => String::new(),
        };
        let (function, valid) = (self.function, alternatives(&names));
        let message = format!(
            "`{written}` on `{function}` is no isolation level{guess} (write `isolation =` with \
             {valid})"
        );
        self.errors
            .at(or_key(arg.value.tokens(), &arg.key), message);
    }

    /// Reads a string that is not empty. The error shows `example` if nothing was written that
    /// could be meant.
    pub(crate) fn text(&mut self, arg: &RawArg, example: &str) -> Option<LitStr> {
        let value = match &arg.value {
            RawValue::Assigned(value) => syn::parse2::<Lit>(value.clone()).ok(),
            _ => None,
        };
        match value {
            Some(Lit::Str(text)) if text.value().trim().is_empty() => {
                let fix = format!("{} = \"{example}\"", arg.key);
                self.refuse(arg, "is empty", &fix);
                None
            }
            Some(Lit::Str(text)) => Some(text),
            _ => {
                let word = text(arg.value.tokens()).replace('"', "");
                let word = if word.is_empty() { example } else { &word };
                let fix = format!("{} = \"{word}\"", arg.key);
                self.refuse(arg, "needs a text in quotes", &fix);
                None
            }
        }
    }

    /// Reads a path. The error shows `example` if nothing was written that could be meant.
    pub(crate) fn path(&mut self, arg: &RawArg, example: &str) -> Option<Path> {
        if let RawValue::Assigned(value) = &arg.value
            && let Ok(path) = Path::parse_mod_style.parse2(value.clone())
        {
            return Some(path);
        }
        let written = syn::parse2::<LitStr>(arg.value.tokens()).map(|path| path.value());
        let path = match &written {
            Ok(path) if !path.is_empty() => path,
            _ => example,
        };
        self.refuse(arg, "needs a path", &format!("{} = {path}", arg.key));
        None
    }

    /// Reads `commit_on(PATTERN if GUARD)`.
    fn rule(&mut self, arg: &RawArg) -> Option<Rule> {
        let RawValue::Listed(pattern) = &arg.value else {
            let pattern = or_key(arg.value.tokens(), &quote!(PATTERN));
            self.refuse_rule(arg, &text(pattern));
            return None;
        };
        match parse_rule.parse2(pattern.clone()) {
            Ok(rule) => Some(rule),
            Err(_) if pattern.is_empty() => {
                self.refuse_rule(arg, "PATTERN");
                None
            }
            Err(error) => {
                let (key, function) = (&arg.key, self.function);
                let message = format!("`{key}` on `{function}` needs a pattern: {error}");
                self.errors.push(syn::Error::new(error.span(), message));
                None
            }
        }
    }

    /// Reports a rule that has no pattern in parentheses.
    fn refuse_rule(&mut self, arg: &RawArg, pattern: &str) {
        let fix = format!("{}({pattern})", arg.key);
        self.refuse(arg, "needs a pattern in parentheses", &fix);
    }

    /// Reports what is wrong with an argument, and the fix.
    pub(crate) fn refuse(&mut self, arg: &RawArg, wrong: &str, fix: &str) {
        let (key, function) = (&arg.key, self.function);
        let message = format!("`{key}` on `{function}` {wrong}: write `{fix}`");
        self.errors.at(key, message);
    }
}

/// Returns whether the text after a flag is another argument, rather than a value.
fn is_word(tokens: &TokenStream) -> bool {
    match tokens.clone().into_iter().next() {
        Some(TokenTree::Ident(word)) => word != "true" && word != "false",
        _ => false,
    }
}

/// Sets an argument that has no value.
fn set_flag(key: Ident, args: &mut Args) {
    match key.to_string().as_str() {
        "nested" => args.propagation = Propagation::Nested,
        "requires_new" => args.propagation = Propagation::RequiresNew,
        "mandatory" => args.propagation = Propagation::Mandatory(key),
        "read_only" => args.read_only = true,
        _ => args.deferrable = Some(key),
    }
}

/// Parses `PATTERN if GUARD`.
fn parse_rule(input: ParseStream) -> syn::Result<Rule> {
    input.parse::<Option<Token![|]>>()?;
    let pat = Pat::parse_multi(input)?;
    let guard = match input.parse::<Option<Token![if]>>()? {
        Some(_) => Some(input.parse()?),
        None => None,
    };
    input.parse::<Option<Token![,]>>()?;
    if input.is_empty() {
        return Ok(Rule { pat, guard });
    }
    Err(input.error("one pattern is expected, join several as in `A | B`"))
}

/// Reduces a level to its letters, so that other spellings are recognised.
///
/// Input:  `"Read Committed"`, `ReadCommitted`, `Isolation::ReadCommitted`
/// Output: `readcommitted`
fn letters(level: &str) -> String {
    let last = level.rsplit("::").next().unwrap_or(level);
    let letters = last.chars().filter(|c| c.is_alphabetic());
    letters.flat_map(char::to_lowercase).collect()
}

/// The tokens of a value, or those of its key if there is none, for an error to point at.
fn or_key(tokens: TokenStream, key: &impl ToTokens) -> TokenStream {
    if tokens.is_empty() {
        key.to_token_stream()
    } else {
        tokens
    }
}
