//! The arguments of `#[txn::test(…)]`, and every rule about them.

use std::path::Path as FilePath;

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Lit, LitStr, Path, Token};

use crate::args::{RawArg, each, parse_argument, until_comma};
use crate::error::Errors;
use crate::text::text;
use crate::validate::Check;

/// The names of all arguments.
const NAMES: [&str; 3] = ["migrations", "env", "crate"];

/// The environment variable with the URL of the database, unless the argument `env` names another.
const ENV: &str = "TEST_DATABASE_URL";

/// The arguments of an annotation, checked. An argument that was wrong has its default.
pub(super) struct Args {
    /// The directory of the migrations, as `sqlx::migrate!` takes it.
    pub(super) migrations: Option<LitStr>,
    /// The name of the environment variable with the URL.
    pub(super) env: LitStr,
    /// The path of the crate `txn`.
    pub(super) krate: Path,
}

/// Parses and checks the arguments. One that is wrong is reported and left out.
pub(super) fn parse(attr: TokenStream, function: &str, errors: &mut Errors) -> Args {
    let mut list = Vec::new();
    each(attr, errors, |input| {
        list.push(parse_one(input, function)?);
        Ok(())
    });
    let mut check = Check {
        function,
        names: &NAMES,
        errors,
    };
    let mut args = Args {
        migrations: None,
        env: syn::parse_quote!(#ENV),
        krate: syn::parse_quote!(::txn),
    };
    for arg in check.unique(list) {
        read(&arg, &mut check, &mut args);
    }
    args
}

/// Parses one argument.
fn parse_one(input: ParseStream, function: &str) -> syn::Result<RawArg> {
    if input.peek(Ident::peek_any) {
        return parse_argument(input);
    }
    if input.peek(Token![,]) {
        return Err(input.error("a comma without an argument before it: remove it"));
    }
    let tokens = until_comma(input);
    let shown = text(&tokens);
    let wrong = match syn::parse2::<Lit>(tokens.clone()) {
        Ok(Lit::Str(_)) => {
            format!("is an argument without a name: write `migrations = {shown}`")
        }
        _ => format!("is no argument (valid arguments: `{}`)", NAMES.join("`, `")),
    };
    let message = format!("`{shown}` on `{function}` {wrong}");
    Err(syn::Error::new_spanned(tokens, message))
}

/// Reads the value of one argument.
fn read(arg: &RawArg, check: &mut Check<'_>, args: &mut Args) {
    match arg.key.unraw().to_string().as_str() {
        "migrations" => args.migrations = migrations(arg, check),
        "env" => {
            if let Some(name) = env(arg, check) {
                args.env = name;
            }
        }
        _ => {
            if let Some(path) = check.path(arg, "path::to::txn") {
                args.krate = path;
            }
        }
    }
}

/// Input:  `"migrations"`
/// Output: `"./migrations"`
///
/// sqlx would look for a name without a directory beside the source file.
fn migrations(arg: &RawArg, check: &mut Check<'_>) -> Option<LitStr> {
    let written = check.text(arg, "migrations")?;
    let value = written.value();
    let path = FilePath::new(&value);
    if path.is_absolute() {
        let wrong = "is an absolute path, but counts from the directory of `Cargo.toml`";
        check.refuse(arg, wrong, "migrations = \"migrations\"");
        return None;
    }
    let lone = path.parent().is_none_or(|parent| parent == "");
    let path = if lone { format!("./{value}") } else { value };
    Some(LitStr::new(&path, written.span()))
}

/// Reads the name of an environment variable.
fn env(arg: &RawArg, check: &mut Check<'_>) -> Option<LitStr> {
    let name = check.text(arg, ENV)?;
    if name
        .value()
        .contains(|c: char| !c.is_alphanumeric() && c != '_')
    {
        let wrong = "needs the name of an environment variable, which holds the URL";
        check.refuse(arg, wrong, &format!("env = \"{ENV}\""));
        return None;
    }
    Some(name)
}
