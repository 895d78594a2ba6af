//! Where a SQLite database is: in a file, or only in its session.
//!
//! The driver's connect options have no getters for this. Their `Debug` output is read instead; the
//! method that turns them into a URL panics for some file names.

use std::borrow::Cow;

use sqlx::sqlite::SqliteConnectOptions;

/// Returns whether the database is lost when its last session is closed: it is in memory, or in a
/// temporary file without a name.
pub(super) fn in_memory(options: &SqliteConnectOptions) -> bool {
    let (text, name) = (printed(options), options.get_filename().to_string_lossy());
    is_lost_with_its_session(&name)
        || after_file_name(&text, &name).starts_with("in_memory: true")
        || text.contains(r#", vfs: Some("memdb"),"#)
}

/// Returns whether the runtime may choose the journal mode: the database is a file, and the options
/// set none.
pub(super) fn may_set_journal_mode(options: &SqliteConnectOptions) -> bool {
    let text = printed(options).to_ascii_lowercase();
    !in_memory(options) && !text.contains(r#"journal_mode": some("#)
}

/// The `Debug` output of the options.
fn printed(options: &SqliteConnectOptions) -> String {
    format!("{options:?}")
}

/// The rest of the `Debug` output after the name of the file, which may itself look like an option.
fn after_file_name<'a>(printed: &'a str, name: &str) -> &'a str {
    let named = format!("SqliteConnectOptions {{ filename: {name:?}, ");
    printed.strip_prefix(&*named).unwrap_or_default()
}

/// Returns whether the name of the file says so. It is a path or a URI:
/// <https://www.sqlite.org/uri.html>.
fn is_lost_with_its_session(name: &str) -> bool {
    let Some(uri) = name.strip_prefix("file:") else {
        return matches!(name, "" | ":memory:");
    };
    let uri = uri.split('#').next().unwrap_or_default();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = match path.strip_prefix("//") {
        // The authority is empty or `localhost`.
        Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
        None => path,
    };
    let is_memory = |parameter: &str| matches!(&*decode(parameter), "mode=memory" | "vfs=memdb");
    matches!(&*decode(path), "" | ":memory:") || query.split('&').any(is_memory)
}

/// Decodes a part of a URI, in which `%HH` stands for a byte. A `%` without two digits after it is
/// dropped.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, behind)) = rest.split_once('%') {
        bytes.extend(plain.bytes());
        let byte = behind
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = match byte {
            Some(byte) => {
                bytes.push(byte);
                &behind[2..]
            }
            None => behind,
        };
    }
    bytes.extend(rest.bytes());
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteJournalMode;

    use super::*;

    fn parsed(url: &str) -> SqliteConnectOptions {
        url.parse().unwrap()
    }

    fn named(name: &str) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(name)
    }

    #[test]
    fn a_database_that_is_lost_with_its_session_is_known_however_it_is_written() {
        for options in [
            parsed("sqlite::memory:"),
            parsed("sqlite://:memory:"),
            parsed("sqlite::memory:?cache=shared"),
            parsed("sqlite://x?mode=memory"),
            parsed("sqlite://x?mode=memory&cache=private"),
            parsed("sqlite:file::memory:?cache=shared"),
            parsed("sqlite:x.db?vfs=memdb"),
            parsed("sqlite:"),
            SqliteConnectOptions::new(),
            named("x.db").in_memory(true),
            named("x.db").in_memory(true).shared_cache(true),
            named(r#"x", read_only: true, ""#).in_memory(true),
            named("x").vfs("memdb"),
            named(""),
            named("file:"),
            named("file:?cache=private"),
            named("file::memory:?cache=shared"),
            named("file:%3amemory%3A"),
            named("file:x?cache=shared&mode=memory"),
            named("file:x?mode=m%65mory"),
            named("file:/x?vfs=memdb#y"),
            named("file:///x?mode=memory"),
        ] {
            assert!(in_memory(&options), "{options:?}");
            assert!(!may_set_journal_mode(&options), "{options:?}");
        }
    }

    #[test]
    fn a_file_is_a_file_however_its_name_looks() {
        for options in [
            parsed("sqlite://a.db"),
            parsed("sqlite://a.db?mode=ro"),
            parsed("sqlite:file:a.db?cache=shared"),
            named("a:memory:.db"),
            named(r#"a", in_memory: true, read_only: false, ""#),
            named("in_memory: true"),
            named("file:a.db?mode=rwc"),
            named("file:///:memory:"),
            named("file:a%"),
            named("file:a%zz?mode=ro"),
            named("sqlx-in-memory.db"),
        ] {
            assert!(!in_memory(&options), "{options:?}");
            assert!(may_set_journal_mode(&options), "{options:?}");
        }
    }

    #[test]
    fn a_journal_that_the_user_chose_stays() {
        for options in [
            named("a.db").journal_mode(SqliteJournalMode::Delete),
            named("a.db").pragma("journal_mode", "truncate"),
            named("a.db").pragma("JOURNAL_MODE", "persist"),
            named("a.db").pragma("main.journal_mode", "memory"),
        ] {
            assert!(!may_set_journal_mode(&options), "{options:?}");
        }
    }
}
