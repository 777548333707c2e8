//! One table for all functions: an expression that must hold, or the words of its error.

use crate::expression::{Expression, Scope};
use serde_json::json;

fn scope() -> Scope<'static> {
    let mut scope = Scope::new();
    scope.set(
        "frame",
        &json!({"payload": {"run_id": "r1", "list": [{"a": 1}, {"a": 2}]}, "gone": null, "n": 5, "text": "Agent E2E says 56,088."}),
    );
    scope.set("latencies", &json!([40, 10.5, 30, 20]));
    scope.set(
        "verdicts",
        &json!([
            {"at": 10, "check": "m/a", "verdict": "pass", "kind": null},
            {"at": 20, "check": "m/a", "verdict": "fail", "kind": "tcp_refused"},
            {"at": 25, "check": "m/b", "verdict": "fail", "kind": "http_status"},
            {"at": 30, "check": "m/a", "verdict": "unknown", "kind": null},
            {"at": 40, "check": "m/a", "verdict": "fail", "kind": "http_status"},
            {"at": 50, "check": "m/a", "verdict": "pass", "kind": null},
            {"at": 60, "check": "m/a", "verdict": "off", "kind": null},
        ]),
    );
    scope.set(
        "starts",
        &json!([
            {"at": 10, "value": 1000.2}, {"at": 20, "value": 1001.1}, {"at": 30, "value": 1500}, {"at": 35, "value": 1000},
            {"at": 90, "value": 1500.9}, {"at": 95, "value": null}, {"at": 120, "value": 1600},
        ]),
    );
    scope
}

#[test]
fn functions_give_what_they_say() {
    let scope = scope();
    for held in [
        "first(frame, ['run_id', 'payload.run_id', 'data.run_id']) == 'r1'",
        "first(frame, ['payload.list.1.a', 'n']) == 2",
        "first(frame, ['gone', 'payload.list.7', 'n.x', 'text.0']) == null",
        "first(null, ['a']) == null && first(7, ['a']) == null",
        "get(frame, 'n', 0) == 5 && get(frame, 'gone', 0) == 0 && get(frame, 'x.y', [1]) == [1]",
        "distinct([1, 1.0, 'a', 2, 'a', {'x': 1}, {'x': 1.0}]) == [1, 'a', 2, {'x': 1}]",
        "sorted(latencies) == [10.5, 20, 30, 40] && sorted(['b', 'a']) == ['a', 'b'] && sorted([]) == []",
        "same_set([1, 2, 2], [2, 1.0]) && !same_set([1], [1, 2]) && same_set([], [])",
        "index_of(latencies, 30) == 2 && index_of([1], 1.0) == 0 && index_of([], 1) == -1",
        "non_decreasing([1, 1.5, 2]) && !non_decreasing([2, 1]) && !non_decreasing([1, null]) && !non_decreasing([null])",
        "non_decreasing(['2026-01-01', '2026-01-02']) && !non_decreasing([1, 'a'])",
        "flatten([[1], [2, [3]], 4]) == [1, 2, [3], 4]",
        "pairs([1, 2, 3]) == [[1, 2], [2, 3]] && pairs([1]) == []",
        "range(3) == [0, 1, 2] && range(0) == []",
        "keys({'b': 1, 'a': 2}) == ['a', 'b']",
        "without({'b': 1, 'a': 2}, ['a', 'x']) == {'b': 1}",
        "percentile(latencies, 95) == 40 && percentile(latencies, 50) == 20 && percentile(latencies, 0) == 10.5",
        "percentile([], 95) == null && percentile(range(100), 95) == 94",
        "avg(latencies) == 25.125 && avg([]) == null && sum(latencies) == 100.5 && sum([]) == 0",
        "max(latencies) == 40 && min(latencies) == 10.5 && max([]) == null && max([1, 2]) + 1 == 3",
        "abs(-3) == 3 && abs(-2.5) == 2.5 && abs(3) == 3",
        "ratio(1, 4) == 0.25 && ratio(1, 0) == null",
        "time('1970-01-01T00:01:00Z') == 60 && time('1970-01-01T01:01:00+01:00') == 60",
        "time('1970-01-01T00:01:00.500') == 60.5 && time('1970-01-01 00:01:00.500000') == 60.5",
        "time(60) == 60 && time('60.5') == 60.5 && time(1767323045000) == 1767323045 && time(1767323045.25) == 1767323045.25",
        "time('yesterday') == null && time(null) == null && time({}) == null && time('') == null",
        "re('abc', '^a.c$') && !re('abc', '^b') && re('a(b', '\\\\(') && 'abc'.matches('b')",
        "contains_any(frame.text, ['x', 'agent e2e']) && !contains_any('', ['x']) && contains_any(frame, ['RUN_ID'])",
        "host('wss://user@Example.com:8443/ws?x=1') == 'example.com' && host('nonsense') == null && host(3) == null",
        "parse('{\"a\": [1]}').a == [1] && parse('no') == null && parse(null) == null",
        "text({'b': 1, 'a': [true, null]}) == '{\"a\":[true,null],\"b\":1}' && text('x') == 'x'",
        "lower('ÄB') == 'äb'",
        "digits('a1 22,333 x4') == [1, 22333, 22, 333, 4] && digits('none') == []",
        "holds_number(frame.text, 56088) && holds_number('= 56088', 56088) && holds_number('56 088', 56088)",
        "holds_number('56_088', 56088) && holds_number('56\u{202f}088!', 56088) && !holds_number('560885', 56088)",
        "!holds_number('1,56088', 56087) && !holds_number(null, 1) && !holds_number('', 1) && holds_number('is 7.', 7)",
        "size(incidents(verdicts)) == 2 && incidents([]) == []",
        "incidents(verdicts)[0] == {'check': 'm/a', 'from': 20, 'to': 50, 'failures': 2, 'kind': 'tcp_refused'}",
        "incidents(verdicts)[1].to == null && incidents(verdicts)[1].check == 'm/b'",
        "restarts(starts).map(r, r.at) == [30, 120]",
        "restarts(starts)[0] == {'at': 30, 'value': 1500, 'before': 20, 'previous': 1001.1, 'gap_s': 10}",
        "restarts(starts)[1].gap_s == 30 && restarts([]) == []",
        "restarts([{'at': 1, 'value': 'a'}, {'at': 2, 'value': 'b'}, {'at': 3, 'value': 'a'}]).map(r, r.value) == ['b']",
        "' a,b '.trim().split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && 'aB'.lowerAscii() == 'ab'",
    ] {
        let expression = Expression::compile(held).unwrap_or_else(|error| panic!("{held}: {error}"));
        assert_eq!(
            expression.holds(&scope),
            Ok(true),
            "{held}: {:?}",
            expression.compared(&scope)
        );
    }
}

#[test]
fn functions_say_what_they_cannot_use() {
    let scope = scope();
    for (source, error) in [
        ("sorted([1, 'a'])", "sorted: takes a list of numbers or a list of texts"),
        (
            "percentile([1], 101)",
            "percentile: takes a list and a percentage from 0 to 100",
        ),
        ("percentile(['a'], 5)", "percentile: takes a list of numbers"),
        ("avg(7)", "avg: takes a list"),
        ("range(-1)", "range: takes a whole number from 0 to 10000"),
        ("range(10001)", "range: takes a whole number from 0 to 10000"),
        ("re('a', '(')", "re: takes a regular expression as its pattern"),
        ("re(7, 'a')", "re: takes a text"),
        ("first(frame, [1])", "first: takes a path such as 'data.event'"),
        ("keys([1])", "keys: takes a map"),
        ("lower(frame.nothing)", "there is no `nothing`"),
        ("incidents(7)", "incidents: takes an extract of verdicts"),
        ("sum()", "cannot apply `sum` to "),
    ] {
        let expression = Expression::compile(source).unwrap();
        assert_eq!(expression.evaluate(&scope).unwrap_err().to_string(), error, "{source}");
    }
}
