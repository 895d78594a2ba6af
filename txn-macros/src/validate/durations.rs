//! Every rule about durations, and about `retry`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitInt, Meta, Token};

use super::arguments::{Check, Retry};
use crate::args::{RawArg, RawValue};
use crate::text::{alternatives, nearest, text};

/// The settings of `retry`.
const RETRY_KEYS: [&str; 3] = ["max_attempts", "base_delay", "max_delay"];
/// The fix that errors about `retry` offer.
const RETRY_FIX: &str = "retry(max_attempts = 5, base_delay = \"5ms\", max_delay = \"1s\")";

impl Check<'_> {
    /// Reads the value of a limit, as in `timeout = "2s"`.
    pub(super) fn duration(&mut self, arg: &RawArg) -> Option<Duration> {
        let value = match &arg.value {
            RawValue::Assigned(value) => syn::parse2::<Lit>(value.clone()).ok(),
            _ => None,
        };
        let key = &arg.key;
        match value {
            Some(Lit::Str(value)) => match parse_duration(&value.value()) {
                Ok(duration) => return Some(duration),
                Err(wrong) => self.refuse(arg, wrong, &format!("{key} = \"2s\"")),
            },
            Some(Lit::Int(number)) => {
                let fix = format!("{key} = \"{}s\"", number.base10_digits());
                self.refuse(arg, "needs a unit", &fix);
            }
            _ => self.refuse(
                arg,
                "needs a duration in quotes",
                &format!("{key} = \"2s\""),
            ),
        }
        None
    }

    /// `retry`, `retry = 5`, `retry(max_attempts = 5, base_delay = "5ms", max_delay = "1s")`
    pub(super) fn retry(&mut self, arg: &RawArg) -> Option<Retry> {
        let mut retry = Retry {
            key: arg.key.clone(),
            max_attempts: None,
            base_delay: None,
            max_delay: None,
        };
        match &arg.value {
            RawValue::Bare => Some(retry),
            RawValue::Assigned(value) => {
                retry.max_attempts = Some(self.attempts(arg, value)?);
                Some(retry)
            }
            RawValue::Listed(list) => self.retry_list(arg, list.clone(), retry),
            RawValue::Other(_) => {
                self.refuse(arg, "is not understood", "retry = 5");
                None
            }
        }
    }

    fn attempts(&mut self, arg: &RawArg, value: &TokenStream) -> Option<u32> {
        let number = syn::parse2::<LitInt>(value.clone());
        match number.and_then(|number| number.base10_parse::<u32>()) {
            Ok(0 | 1) => {
                self.refuse(arg, "would never run it again", "retry = 2");
                None
            }
            Ok(attempts) => Some(attempts),
            Err(_) => {
                self.refuse(arg, "needs a number of attempts", "retry = 5");
                None
            }
        }
    }

    /// Reads the settings of `retry(…)`. One that is wrong makes the whole `retry` wrong.
    fn retry_list(&mut self, arg: &RawArg, list: TokenStream, mut retry: Retry) -> Option<Retry> {
        let Ok(list) = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list) else {
            self.refuse(arg, "is not understood", RETRY_FIX);
            return None;
        };
        for setting in &list {
            self.retry_setting(arg, setting, &mut retry)?;
        }
        Some(retry)
    }

    /// Reads one setting of `retry(…)`.
    fn retry_setting(&mut self, arg: &RawArg, setting: &Meta, retry: &mut Retry) -> Option<()> {
        let key = text(setting.path());
        let Ok(Expr::Lit(ExprLit { lit, .. })) =
            setting.require_name_value().map(|pair| &pair.value)
        else {
            return self.unknown_setting(setting, &key);
        };
        match (key.as_str(), lit) {
            ("max_attempts", Lit::Int(number)) => {
                retry.max_attempts = Some(self.attempts(arg, &number.to_token_stream())?);
            }
            ("base_delay", Lit::Str(delay)) => {
                retry.base_delay = Some(self.delay(arg, &key, &delay.value())?);
            }
            ("max_delay", Lit::Str(delay)) => {
                retry.max_delay = Some(self.delay(arg, &key, &delay.value())?);
            }
            _ => return self.unknown_setting(setting, &key),
        }
        Some(())
    }

    /// Reads a delay of `retry(…)`.
    fn delay(&mut self, arg: &RawArg, key: &str, delay: &str) -> Option<Duration> {
        let wrong = match parse_duration(delay) {
            Ok(delay) => return Some(delay),
            Err(wrong) => wrong,
        };
        let wrong = format!("has a `{key}` that {wrong}");
        self.refuse(arg, &wrong, RETRY_FIX);
        None
    }

    /// Reports a setting that does not exist or has the wrong kind of value.
    fn unknown_setting<T>(&mut self, setting: &Meta, key: &str) -> Option<T> {
        let guess = match nearest(key, &RETRY_KEYS) {
            Some(guess) if guess != key => format!(", did you mean `{guess}`?"),
            _ => String::new(),
        };
        let (function, valid) = (self.function, alternatives(&RETRY_KEYS));
        let message = format!(
            "`{}` in `retry` of `{function}` is not understood{guess} (write {valid}, as in \
             `{RETRY_FIX}`)",
            text(setting)
        );
        self.errors.at(setting, message);
        None
    }
}

/// The units of a duration, in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000)];

/// Parses a whole number and a unit: `250ms`, `2s`, `1min`, `1h`. The error is the middle of a
/// sentence.
fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "needs a whole number and a unit, `ms`, `s`, `min` or `h`")?;
    let (_, millis) = UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim())
        .ok_or("needs a unit, `ms`, `s`, `min` or `h`")?;
    match number.checked_mul(*millis) {
        Some(0) => Err("would be over before it has begun"),
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => Err("is too long"),
    }
}
