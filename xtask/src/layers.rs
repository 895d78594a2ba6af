//! Checks the layers of the runtime, its rooms: each may import those below it, and none above.
//!
//! Every path counts, in code and in macros, except in tests and documentation.

use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The rooms from the bottom to the top.
const ROOMS: [&str; 8] = [
    "model", "engine", "observe", "pool", "tx", "scope", "db", "private",
];

const SOURCE: &str = "txn-runtime/src";

pub(crate) fn check() -> Result<()> {
    let mut files = Vec::new();
    list(Path::new(SOURCE), &mut files)?;
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let module = module(file.strip_prefix(SOURCE)?);
        let found = upward(&module, &text).with_context(|| format!("read {}", file.display()))?;
        let name = file.display().to_string();
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    ensure!(faults.is_empty(), "\n    {}", faults.join("\n    "));
    Ok(())
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the module path of a file: `["pool", "session"]` for `pool/session.rs`, and nothing for
/// the root of the crate.
fn module(file: &Path) -> Vec<String> {
    let parts = file.with_extension("");
    let parts = parts.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "lib").collect()
}

/// Finds the names in a file that are above it, or outside of every room.
fn upward(module: &[String], text: &str) -> Result<Vec<String>> {
    let Some(room) = module.first() else {
        return Ok(Vec::new()); // The root re-exports from all rooms.
    };
    let own = ROOMS.iter().position(|known| known == room);
    let own = own.with_context(|| format!("`{room}` is no room: give it a place in ROOMS"))?;
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?;
    let mut named = Vec::new();
    names(tokens, module.len(), &mut named)?;
    named.sort();
    named.dedup();
    let fault = |name: String| match ROOMS.iter().position(|known| *known == name) {
        Some(at) if at <= own => None,
        Some(_) => Some(format!("`{name}` is above `{room}`")),
        None => Some(format!(
            "`{name}` is in no room: name it by the one that it is in"
        )),
    };
    Ok(named.into_iter().filter_map(fault).collect())
}

/// Collects the first segment below the root of the crate from the paths in this code.
fn names(tokens: TokenStream, depth: usize, named: &mut Vec<String>) -> Result<()> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' && is_for_tests(tokens.peek()) => {
                skip_item(&mut tokens);
            }
            TokenTree::Group(group) => names(group.stream(), depth, named)?,
            TokenTree::Ident(word) if word == "crate" => below_root(&mut tokens, named)?,
            TokenTree::Ident(word) if word == "super" => {
                let mut climbed = 1;
                while climbed < depth && next_is_super(&mut tokens) {
                    climbed += 1;
                }
                if climbed == depth {
                    below_root(&mut tokens, named)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether the attribute is `[cfg(test)]`, or has `test` as the first of several conditions
/// that must all hold.
fn is_for_tests(attribute: Option<&TokenTree>) -> bool {
    let text = attribute.map(|attribute| attribute.to_string().replace(' ', ""));
    text.is_some_and(|text| text.starts_with("[cfg(test)") || text.starts_with("[cfg(all(test,"))
}

/// Skips an item up to the end of its body, or its semicolon.
fn skip_item(tokens: &mut Peekable<IntoIter>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(mark) if mark.as_char() == ';' => return,
            _ => {}
        }
    }
}

fn next_is_super(tokens: &mut Peekable<IntoIter>) -> bool {
    let mut ahead = tokens.clone();
    let is_super = skip_colons(&mut ahead)
        && matches!(ahead.next(), Some(TokenTree::Ident(word)) if word == "super");
    if is_super {
        *tokens = ahead;
    }
    is_super
}

fn skip_colons(tokens: &mut Peekable<IntoIter>) -> bool {
    let is_colon =
        |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':');
    tokens.next_if(is_colon).is_some() && tokens.next_if(is_colon).is_some()
}

/// Collects the name after `crate`, or all names if they are grouped.
fn below_root(tokens: &mut Peekable<IntoIter>, named: &mut Vec<String>) -> Result<()> {
    if !skip_colons(tokens) {
        return Ok(()); // This is the `crate` of `pub(crate)`.
    }
    match tokens.next() {
        Some(TokenTree::Ident(word)) => named.push(word.to_string()),
        Some(TokenTree::Group(group)) => {
            let mut begins = true;
            for token in group.stream() {
                match token {
                    TokenTree::Ident(word) if begins => named.push(word.to_string()),
                    TokenTree::Punct(mark) if mark.as_char() == ',' => {
                        begins = true;
                        continue;
                    }
                    _ => {}
                }
                begins = false;
            }
        }
        _ => bail!("a path that ends after `::`"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(module: &[&str], text: &str) -> Vec<String> {
        let module: Vec<_> = module.iter().map(|part| (*part).to_owned()).collect();
        upward(&module, text).unwrap()
    }

    #[test]
    fn modules_below_and_beside_may_be_named() {
        let text =
            "pub(crate) use crate::{model::error::Error, pool::Db}; fn f(_: super::Session) {}";
        assert_eq!(faults(&["pool", "session"], text), [""; 0]);
    }

    #[test]
    fn modules_above_are_found_in_imports_paths_and_macros() {
        for text in [
            "use crate::tx::Tx;",
            "use crate::{model::error::Error, tx::Tx};",
            "fn f(_: crate::tx::Tx) {}",
            "macro_rules! m { () => { $crate::tx::Tx } }",
            "use super::super::tx::Tx;",
        ] {
            assert_eq!(
                faults(&["pool", "session"], text),
                ["`tx` is above `pool`"],
                "{text}"
            );
        }
    }

    #[test]
    fn names_in_tests_do_not_count() {
        let text = "#[cfg(test)] mod tests { use crate::db::Db; } #[cfg(test)] use crate::tx::Tx;";
        assert_eq!(faults(&["model"], text), [""; 0]);
    }

    #[test]
    fn an_item_must_be_named_through_its_room() {
        let found = faults(&["tx"], "use crate::Db;");
        assert_eq!(
            found,
            ["`Db` is in no room: name it by the one that it is in"]
        );
        assert!(upward(&["attic".to_owned()], "").is_err());
    }
}
