//! The statements that write rows.

use super::pack::{RowSum, pack};
use super::rows::Row;
use rusqlite::{Connection, params};

/// Writes a batch in one transaction.
pub(super) fn write(connection: &mut Connection, batch: &[Row]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for row in batch {
        insert(&transaction, row)?;
    }
    transaction.commit()
}

type Statement<'a> = &'a dyn Fn(&str, &[&dyn rusqlite::ToSql]) -> rusqlite::Result<()>;

fn insert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let run: Statement = &|sql, values| connection.prepare_cached(sql)?.execute(values).map(|_| ());
    match row {
        Row::AlertFires { .. } | Row::AlertEnded { .. } => alert(connection, row),
        Row::Sample { series, at, value } => {
            let sum = RowSum::default().text(Some(series)).number(*at).text(Some(value)).end();
            run(
                "INSERT INTO samples VALUES (?1, ?2, ?3, ?4)",
                params![series, at, value, sum],
            )
        }
        Row::Run { .. } => insert_run(row, run),
        Row::Verdict { .. } => insert_verdict(row, run),
        Row::Status {
            at,
            base,
            path,
            status,
            retry_after,
        } => {
            let sum = status_sum((*at, i64::from(*status)), (base, path), retry_after.as_deref());
            run(
                "INSERT INTO statuses VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![at, base, path, status, retry_after, sum],
            )
        }
        Row::Handshake { pool, user, at } => run("INSERT INTO handshakes VALUES (?1, ?2, ?3)", params![pool, user, at]),
        Row::Rest { pool, user, until } => run(
            "INSERT INTO rests VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET until = excluded.until",
            params![pool, user, until],
        ),
        Row::RunCount { scenario, day } => run(
            "INSERT INTO run_counts VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET runs = runs + 1",
            params![scenario, day],
        ),
        Row::Annotation { at, text, version } => run(
            "INSERT INTO annotations VALUES (?1, ?2, ?3)",
            params![at, text, version],
        ),
        Row::Maintenance {
            id,
            reason,
            modules,
            begins,
            ends,
        } => run(
            "INSERT INTO maintenance VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET ends = excluded.ends",
            params![id, reason, modules, begins, ends],
        ),
        Row::Incident {
            id,
            opened_at,
            closed_at,
            incident,
            evidence,
        } => run(
            "INSERT INTO incidents VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET
             closed_at = excluded.closed_at, packed = excluded.packed,
             packed_evidence = COALESCE(excluded.packed_evidence, incidents.packed_evidence)",
            params![id, opened_at, closed_at, pack(incident), evidence.as_deref().map(pack)],
        ),
        Row::Iteration { at, snapshot } => run(
            "INSERT INTO iterations SELECT COALESCE(MAX(number), 0) + 1, ?1, ?2 FROM iterations",
            params![at, pack(snapshot)],
        ),
    }
}

/// What fires, and the log of it. A start that turns out to have been earlier moves the entry that is open.
fn alert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql)?.execute(values);
    match row {
        Row::AlertFires {
            id,
            started,
            severity,
            owner,
            annotations,
            kept,
        } => {
            run(
                "INSERT INTO alerts_firing VALUES (?1, ?2) ON CONFLICT DO UPDATE SET kept = excluded.kept",
                params![id, kept],
            )?;
            run(
                "DELETE FROM alerts WHERE id = ?1 AND ended IS NULL AND started <> ?2",
                params![id, started],
            )?;
            run(
                "INSERT INTO alerts VALUES (?1, ?2, NULL, ?3, ?4, ?5) ON CONFLICT DO UPDATE
                 SET ended = NULL, severity = excluded.severity, owner = excluded.owner, annotations = excluded.annotations",
                params![id, started, severity, owner, annotations],
            )?;
        }
        Row::AlertEnded { id, ended } => {
            run("DELETE FROM alerts_firing WHERE id = ?1", params![id])?;
            run(
                "UPDATE alerts SET ended = ?2 WHERE id = ?1 AND ended IS NULL",
                params![id, ended],
            )?;
        }
        _ => {}
    }
    Ok(())
}

/// A run; its transcript takes the place of the latest one if it is not kept on purpose.
fn insert_run(row: &Row, run: Statement) -> rusqlite::Result<()> {
    let Row::Run {
        id,
        scenario,
        at,
        duration_ms,
        broke,
        transcript,
        kept,
    } = row
    else {
        return Ok(());
    };
    let (step, kind) = broke.as_ref().map(|(step, kind)| (step.as_str(), *kind)).unzip();
    let sum = run_sum((id, scenario), (*at, *duration_ms), (step, kind));
    let packed = Some(pack(transcript));
    run(
        "INSERT INTO runs (id, scenario, at, duration_ms, broke_step, broke_kind, packed, sum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            id,
            scenario,
            at,
            duration_ms,
            step,
            kind,
            packed.as_ref().filter(|_| *kept),
            sum
        ],
    )?;
    run(
        "INSERT INTO latest_runs VALUES (?1, ?2, ?3)
         ON CONFLICT (scenario) DO UPDATE SET id = excluded.id, packed = excluded.packed",
        params![scenario, id, packed.filter(|_| !kept)],
    )
}

/// A verdict; its texts take the place of the latest ones if they are not kept on purpose, else what it rests on is kept too.
fn insert_verdict(row: &Row, run: Statement) -> rusqlite::Result<()> {
    let Row::Verdict {
        check,
        at,
        verdict,
        reason,
        kind,
        judgement,
        inputs,
        kept,
        runs,
        duration_ms,
    } = row
    else {
        return Ok(());
    };
    let sum = verdict_sum((check, *at), (verdict, *reason, *kind));
    let texts = Some((pack(judgement), pack(inputs)));
    let (packed, packed_inputs) = texts
        .as_ref()
        .filter(|_| *kept)
        .map(|(judged, made)| (judged, made))
        .unzip();
    run(
        "INSERT INTO verdicts (\"check\", at, verdict, reason, kind, packed, packed_inputs, sum, duration_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            check,
            at,
            verdict,
            reason,
            kind,
            packed,
            packed_inputs,
            sum,
            duration_ms
        ],
    )?;
    let (packed, packed_inputs) = texts
        .as_ref()
        .filter(|_| !kept)
        .map(|(judged, made)| (judged, made))
        .unzip();
    run(
        "INSERT INTO latest_verdicts VALUES (?1, ?2, ?3, ?4) ON CONFLICT (\"check\") DO UPDATE SET
         at = excluded.at, packed = excluded.packed, packed_inputs = excluded.packed_inputs",
        params![check, at, packed, packed_inputs],
    )?;
    for id in runs.iter().filter(|_| *kept) {
        run(
            "UPDATE runs SET packed = (SELECT packed FROM latest_runs WHERE latest_runs.id = ?1) WHERE id = ?1 AND packed IS NULL",
            params![id],
        )?;
    }
    Ok(())
}

/// The checksum of a row of `runs`: id and scenario, start and duration, step and kind that it broke off with.
pub(super) fn run_sum(
    (id, scenario): (&str, &str),
    (at, duration_ms): (f64, f64),
    (step, kind): (Option<&str>, Option<&str>),
) -> i64 {
    let names = RowSum::default().text(Some(id)).text(Some(scenario));
    names.number(at).number(duration_ms).text(step).text(kind).end()
}

/// The checksum of a row of `verdicts`: check and moment, verdict, reason and kind.
pub(super) fn verdict_sum(
    (check, at): (&str, f64),
    (verdict, reason, kind): (&str, Option<&str>, Option<&str>),
) -> i64 {
    let names = RowSum::default().text(Some(check)).number(at);
    names.text(Some(verdict)).text(reason).text(kind).end()
}

/// The checksum of a row of `statuses`: moment and status, base and path, `Retry-After`.
pub(super) fn status_sum((at, status): (f64, i64), (base, path): (&str, &str), retry_after: Option<&str>) -> i64 {
    let names = RowSum::default().text(Some(base)).text(Some(path)).number(at);
    names.text(Some(&status.to_string())).text(retry_after).end()
}
