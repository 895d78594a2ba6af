use super::tokens;
use crate::text::{nearest, text};

#[test]
fn source_text_is_spaced_as_people_write_it() {
    for source in [
        "tx: &mut Tx<Sqlite>",
        "self.state.db()",
        "&mut self.tx as tx",
        "#[tx] conn: &mut db::Conn<'a, A>",
        "A | B(_)",
        "extern \"C\"",
        "Box<dyn Fn(u8) -> u8 + Send>",
        "self.pools[0].get::<A>(1, \"a\")",
        "Result<impl Sized, Error>",
    ] {
        assert_eq!(text(tokens(source)), source);
    }
}

#[test]
fn near_misses_are_guessed_and_far_ones_are_not() {
    let words = ["nested", "requires_new", "isolation", "read_only", "name"];
    for (word, guess) in [
        ("isolaton", Some("isolation")),
        ("readonly", Some("read_only")),
        ("require_new", Some("requires_new")),
        ("Nested", Some("nested")),
        ("nest", Some("nested")),
        ("names", Some("name")),
        ("timeout", None),
        ("db", None),
    ] {
        assert_eq!(nearest(word, &words), guess, "{word}");
    }
}
