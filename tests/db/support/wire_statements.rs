//! Finds the statements in what a client has sent, with just enough of the protocols.

use std::collections::HashMap;

/// A function that returns the length of the message that the bytes begin with, and the statement
/// in it; `None` if the end of the message is still to come.
pub(crate) type Protocol = fn(&[u8]) -> Option<(usize, Option<&[u8]>)>;

/// Returns the statements of all connections in the order in which they were complete, each with
/// its connection.
///
/// A chunk is what was read from a connection at once: part of a message, or several messages.
pub(crate) fn statements(chunks: &[(usize, Vec<u8>)], protocol: Protocol) -> Vec<(usize, String)> {
    let mut unread: HashMap<usize, Vec<u8>> = HashMap::new();
    let mut found = Vec::new();
    for (connection, bytes) in chunks {
        let unread = unread.entry(*connection).or_default();
        unread.extend_from_slice(bytes);
        while let Some((length, sql)) = protocol(unread) {
            if let Some(sql) = sql {
                found.push((*connection, String::from_utf8_lossy(sql).into_owned()));
            }
            unread.drain(..length);
        }
    }
    found
}

/// Finds simple queries, and queries that are prepared.
pub(crate) fn postgres(bytes: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    // A message before the login has no type; its length begins with a zero.
    let head = usize::from(*bytes.first()? != 0);
    let length = u32::from_be_bytes(*bytes.get(head..)?.first_chunk()?);
    let end = head + usize::try_from(length).unwrap();
    let message = bytes.get(..end)?;
    let mut texts = message[head + 4..].split(|byte| *byte == 0);
    let sql = match message[0] {
        b'Q' => texts.next(),
        b'P' => texts.nth(1), // after its name
        _ => None,
    };
    Some((end, sql))
}

/// Finds `COM_QUERY` and `COM_STMT_PREPARE`.
pub(crate) fn mysql(bytes: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let [low, middle, high, sequence] = *bytes.first_chunk()?;
    let end = 4 + usize::try_from(u32::from_le_bytes([low, middle, high, 0])).unwrap();
    let sql = match bytes.get(4..end)? {
        // A command begins an exchange; a message with another number belongs to the login.
        [0x03 | 0x16, sql @ ..] if sequence == 0 => Some(sql),
        _ => None,
    };
    Some((end, sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the statements are found, however the bytes are cut into chunks.
    fn assert_found(bytes: &[u8], protocol: Protocol, expected: &[&str]) {
        for size in 1..=bytes.len() {
            let chunks: Vec<_> = bytes
                .chunks(size)
                .map(|chunk| (7, chunk.to_vec()))
                .collect();
            let found = statements(&chunks, protocol);
            assert!(found.iter().all(|(connection, _)| *connection == 7));
            let found: Vec<_> = found.iter().map(|(_, sql)| sql.as_str()).collect();
            assert_eq!(found, expected, "in chunks of {size}");
        }
    }

    #[test]
    fn statements_are_found_in_what_a_client_sends_to_postgres() {
        let bytes = [
            &b"\0\0\0\x08\x04\xd2\x16\x2f"[..],  // asks for TLS
            b"\0\0\0\x11\0\x03\0\0user\0me\0\0", // logs in
            b"Q\0\0\0\x0aBEGIN\0",               // simple query
            b"P\0\0\0\x14s1\0SELECT $1\0\0\0D\0\0\0\x08Ss1\0S\0\0\0\x04", // parse, describe, sync
            b"B\0\0\0\x05QX\0\0\0\x04",          // bind, terminate
        ];
        assert_found(&bytes.concat(), postgres, &["BEGIN", "SELECT $1"]);
    }

    #[test]
    fn statements_are_found_in_what_a_client_sends_to_mysql() {
        let bytes = [
            &b"\x04\0\0\x01\x03me\0"[..], // logs in
            b"\x06\0\0\0\x03BEGIN",       // query
            b"\x01\0\0\0\x0e",            // ping
            b"\x09\0\0\0\x16SELECT ?",    // prepare
            b"\x05\0\0\0\x17\x01\0\0\0",  // execute
        ];
        assert_found(&bytes.concat(), mysql, &["BEGIN", "SELECT ?"]);
    }

    #[test]
    fn connections_are_told_apart() {
        let chunks = [
            (1, b"\x02\0\0\0".to_vec()),
            (2, b"\x02\0\0\0\x03b".to_vec()),
            (1, b"\x03a".to_vec()),
        ];
        let found = statements(&chunks, mysql);
        assert_eq!(found, [(2, "b".to_owned()), (1, "a".to_owned())]);
    }
}
