//! SQLite: what its journals and its values of `synchronous` promise.

use super::recording::{Found, RECOVER, Recording, Scene};
use super::{acknowledged, table_says};
use crate::harness::*;

/// 24 rows in 13 pages of 1 KiB.
const TABLE: &str = "PRAGMA page_size = 1024;
CREATE TABLE t(id INTEGER PRIMARY KEY, v INT, pad TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
INSERT INTO t SELECT i, 0, printf('%0400d', i) FROM n;";

/// Transactions that change all rows, each acknowledged by a mark. Another program's sync falls between.
fn transactions() -> String {
    let transaction = |n| {
        let sync = if n % 2 == 0 { "; sync" } else { "" };
        format!("UPDATE t SET v = {n};\n.shell echo {n} > $mark{sync}\n")
    };
    let (first, last) = (".shell echo 0 > $mark\n", acknowledged());
    let end = format!(".shell sync; echo {last} end > $mark\n");
    let all = (1..=last).map(transaction);
    first.to_owned() + &all.collect::<String>() + &end
}

/// Exit codes: 1 the database is damaged or has a part of a transaction, 2 an acknowledged transaction is lost.
const CHECK: &str = "d=$(mktemp -d); trap 'rm -r $d' EXIT
debugfs -R \"rdump / $d\" {} > /dev/null 2>&1
found=$(sqlite3 $d/db 'PRAGMA integrity_check; SELECT count(DISTINCT v), min(v) FROM t' 2> /dev/null)
case $found in
'ok
1|'*) test ${found##*|} -ge ${PROVIUM_MARK%% *} || exit 2 ;;
*) exit 1 ;;
esac";

fn states_of_sqlite(journal: &str, synchronous: &str) -> Option<Found> {
    if !has("sqlite3") {
        return None;
    }
    let sqlite3 = |database: &str, sql: &str| {
        format!("sqlite3 {database} > /dev/null << 'SQL'\n{sql}\nSQL\n")
    };
    let files = format!("PRAGMA journal_mode = {journal};\n{TABLE}");
    let script = format!("PRAGMA synchronous = {synchronous};\n{}", transactions());
    let recording = Recording::of_ext4(&Scene {
        files: &sqlite3("db", &files),
        script: &sqlite3("$mnt/db", &script),
        ..Scene::default()
    })?;
    let end = format!("{} end", acknowledged());
    let window = ["--from", "0", "--to", &end, "--tear", "8"];
    Some(recording.judged(&format!("{RECOVER} {CHECK}"), &window))
}

#[test]
fn sqlite_with_a_rollback_journal_and_synchronous_off_breaks_transactions() {
    table_says(
        "SQLite, journal `delete`, synchronous `off`, `--tear 8`",
        "a transaction is there in part",
    );
    if let Some(found) = states_of_sqlite("delete", "off") {
        assert!(found.codes.contains(&1), "{}", found.summary);
    }
}

/// The removal of the journal commits a transaction. `full` does not make that durable, `extra` does.
#[test]
fn sqlite_with_a_rollback_journal_and_synchronous_full_loses_transactions_and_breaks_none() {
    table_says(
        "the same with `full`",
        "acknowledged transactions are lost, none is there in part",
    );
    if let Some(found) = states_of_sqlite("delete", "full") {
        assert_eq!(Vec::from_iter(&found.codes), [&2], "{}", found.summary);
    }
}

#[test]
fn sqlite_with_a_rollback_journal_and_synchronous_extra_loses_and_breaks_nothing() {
    table_says("the same with `extra`", "nothing is lost or broken");
    if let Some(found) = states_of_sqlite("delete", "extra") {
        assert_eq!(found.bad, 0, "{}", found.summary);
        assert!(found.states > 100, "{}", found.summary);
    }
}

#[test]
fn sqlite_with_a_wal_and_synchronous_off_or_normal_loses_transactions_and_breaks_none() {
    table_says(
        "SQLite, journal `wal`, synchronous `off` or `normal`",
        "acknowledged transactions are lost, none is there in part",
    );
    for synchronous in ["off", "normal"] {
        if let Some(found) = states_of_sqlite("wal", synchronous) {
            let codes = Vec::from_iter(&found.codes);
            assert_eq!(codes, [&2], "{synchronous}: {}", found.summary);
        }
    }
}

#[test]
fn sqlite_with_a_wal_and_synchronous_full_loses_and_breaks_nothing() {
    table_says("the same with `full`", "nothing is lost or broken");
    if let Some(found) = states_of_sqlite("wal", "full") {
        assert_eq!(found.bad, 0, "{}", found.summary);
        assert!(found.states > 100, "{}", found.summary);
    }
}
