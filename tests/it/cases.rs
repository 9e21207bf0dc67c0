//! Files as people really have them, through the binary: each row is recorded right, or named with its place.
//!
//! The files are in `cases/`; what stands there in bytes that no editor shows is said at its test.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::device::{Device, outpost, text};

/// An agent in a directory of its own, with a folder.
struct Shop {
    device: Device,
}

const HEAD: &str = "[agent]\ndata_dir = \"data\"\n[intake.http]\nlisten = \"127.0.0.1:0\"\n[intake.folder]\npath = \"drop\"\n\
    quiet = \"10ms\"\ntype = \"till.sale\"\n";

const MAPPING: &str = "\n[target]\nclient_code = \"acme\"\nendpoint = \"http://127.0.0.1:9\"\nmode = \"single\"\n\
    shared_profiles = false\n[[mapping]]\nname = \"all\"\nevent = \"*\"\nidentity = { third_party_id = \"data.card\" }\n";

const VISITS: &str = "add = { visits = \"1\" }\n";

impl Shop {
    /// With settings of the folder or of its tables, and what the mapping takes.
    fn new(settings: &str, takes: &str) -> Self {
        let device = Device::new();
        device.write("agent.toml", &format!("{HEAD}{settings}{MAPPING}{takes}"));
        Self { device }
    }

    fn drop_dir(&self) -> PathBuf {
        self.device.dir.path().join("drop")
    }

    /// Has the agent read a file, and gives what it says is wrong with it.
    fn take(&self, name: &str, content: &[u8]) -> String {
        fs::create_dir_all(self.drop_dir()).unwrap();
        fs::write(self.drop_dir().join(name), content).unwrap();
        let agent = self.device.run();
        let place = |folder: &str| self.drop_dir().join(folder).join(name);
        while !["done", "failed", "duplicate"].iter().any(|folder| place(folder).exists()) {
            std::thread::yield_now();
        }
        drop(agent);
        fs::read_to_string(self.drop_dir().join("failed").join(format!("{name}.errors"))).unwrap_or_default()
    }

    fn value(&self, card: &str, attribute: &str) -> Option<String> {
        let output = self.device.outpost(&["explain", "--json", &format!("third_party_id:{card}")]);
        let profile: Value = serde_json::from_str(&text(&output.stdout)).ok()?;
        let mut attributes = profile["attributes"].as_array()?.iter();
        let found = attributes.find(|found| found["name"] == attribute)?;
        found["value"].as_str().map(str::to_owned)
    }

    fn recorded(&self) -> u64 {
        self.device.status()["events"]["recorded"].as_u64().unwrap()
    }

    /// These cards have one visit each, and no other event was recorded.
    fn check_cards(&self, cards: &[&str]) {
        for card in cards {
            assert_eq!(self.value(card, "visits").as_deref(), Some("1"), "{card}");
        }
        assert_eq!(self.recorded(), cards.len() as u64);
    }
}

/// A file whose rows are one visit of each of these cards, and what is wrong with it begins so.
fn check(settings: &str, name: &str, content: &[u8], cards: &[&str], errors: &[&str]) {
    let shop = Shop::new(settings, VISITS);
    let said = shop.take(name, content);
    let told: Vec<&str> = said.lines().skip(1).collect();
    assert_eq!(told.len(), errors.len(), "{said}");
    for (told, expected) in told.iter().zip(errors) {
        assert!(told.starts_with(expected), "{told} should begin with {expected}");
    }
    shop.check_cards(cards);
}

const TABLE: &str = "[intake.folder.csv]\n";

#[test]
fn a_quote_that_is_never_closed_takes_no_row_behind_it() {
    let content = include_bytes!("cases/quote-never-closed.csv");
    check("", "a.csv", content, &["1", "3", "4"], &["line 3: the quote of cell 2 is not closed"]);
}

#[test]
fn a_quote_that_is_closed_late_makes_no_row_of_two() {
    let content = include_bytes!("cases/quote-closed-late.csv");
    check("", "a.csv", content, &["1", "4"], &["line 3: ", "line 4: "]);
    let same_width = b"card;note\n1;ok\n2;\"5 inch\n3;27\"\n4;ok\n";
    check("", "a.csv", same_width, &["1", "4"], &["line 3: ", "line 4: "]);
}

#[test]
fn an_apostrophe_is_no_quote() {
    let settings = format!(
        "{TABLE}columns = {{ \"data.card\" = 1, \"data.store\" = 2, \"data.total\" = 3 }}\nnumbers = [\"data.total\"]\n"
    );
    let shop = Shop::new(&settings, "set = { store = \"data.store\" }\nadd = { total = \"data.total\" }\n");
    assert_eq!(shop.take("a.csv", include_bytes!("cases/apostrophe.csv")), "");
    assert_eq!((shop.recorded(), shop.value("100", "total").as_deref()), (4, Some("5")));
    assert_eq!(shop.value("102", "store").as_deref(), Some("'s-Hertogenbosch"));
}

#[test]
fn a_column_without_a_name_is_left_out() {
    check("", "a.csv", include_bytes!("cases/trailing-delimiter.csv"), &["1", "2"], &[]);
    check("", "a.csv", b";card\n0;1\n1;2\n", &["1", "2"], &[]);
    check("", "a.csv", b"card;note\n1;x;\n2;y;\n", &["1", "2"], &[]);
}

#[test]
fn the_line_of_a_spreadsheet_that_sets_the_delimiter_is_no_header() {
    check("", "a.csv", include_bytes!("cases/sep-line.csv"), &["1"], &[]);
}

#[test]
fn a_first_row_that_is_data_is_no_header() {
    let errors = ["line 1: no header is recognised in the first row; set columns, header or skip"];
    check("", "a.csv", include_bytes!("cases/no-header.csv"), &[], &errors);
    check("", "a.csv", b"Report;\nAccount;4711\n\ncard;total\n1;2\n2;3\n", &[], &errors);
}

#[test]
fn the_header_is_found_by_its_names_or_behind_what_is_skipped() {
    let content = include_bytes!("cases/lines-before-header.csv");
    let columns = "columns = { \"data.card\" = \"Karte\", \"data.total\" = \"Betrag\" }\n";
    let numbers = "numbers = [\"data.total\"]\ndecimal = \",\"\n";
    for settings in [format!("{TABLE}{columns}{numbers}"), format!("{TABLE}skip = 3\n{columns}{numbers}")] {
        let shop = Shop::new(&settings, "add = { total = \"data.total\" }\n");
        assert_eq!(shop.take("a.csv", content), "");
        let totals = [shop.value("1", "total"), shop.value("2", "total")];
        assert_eq!((shop.recorded(), totals), (2, [Some("12.5".to_owned()), Some("7".to_owned())]));
    }
}

/// The totals that the rows of a file make, by card from 1 on; none of one that was named.
fn totals(settings: &str, content: &[u8], count: usize) -> (Vec<Option<String>>, String) {
    let settings = format!("{TABLE}numbers = [\"data.total\"]\n{settings}");
    let shop = Shop::new(&settings, "add = { total = \"data.total\" }\n");
    let said = shop.take("a.csv", content);
    ((1..=count).map(|card| shop.value(&card.to_string(), "total")).collect(), said)
}

#[test]
fn groups_of_digits_are_no_fraction() {
    let (found, said) = totals("decimal = \",\"\n", include_bytes!("cases/grouping-point.csv"), 3);
    assert_eq!(found, ["1500", "1234567.89", "12.5"].map(|total| Some(total.to_owned())));
    assert_eq!(said, "");
    let (found, said) = totals("", b"card;total\n1;1.500\n2;12.50\n", 2);
    assert_eq!(found, [None, Some("12.5".to_owned())]);
    assert!(said.contains("line 2: data.total: it may be thousands or a fraction; set decimal"), "{said}");
}

#[test]
fn money_is_read_as_it_is_meant() {
    let (found, said) = totals("decimal = \".\"\n", include_bytes!("cases/money.csv"), 5);
    assert_eq!(found, ["1234.5", "-30", "-12.5", "-5", "1234.5"].map(|total| Some(total.to_owned())));
    assert_eq!(said, "");
}

#[test]
fn a_delimiter_in_quotes_is_no_delimiter() {
    let settings = format!("{TABLE}columns = {{ \"data.card\" = 1 }}\n");
    check(&settings, "a.csv", include_bytes!("cases/delimiter-in-quotes.csv"), &["4711", "4712"], &[]);
}

#[test]
fn a_year_of_two_digits_is_no_year_of_the_romans() {
    let settings = |format: &str| {
        format!("{TABLE}columns = {{ time = \"T\", \"data.card\" = \"card\" }}\ntime_format = \"{format}\"\n")
    };
    let content = include_bytes!("cases/two-digit-year.csv");
    check(&settings("%d.%m.%Y %H:%M"), "a.csv", content, &[], &["line 2: time: it is before the year 2000"]);
    check(&settings("%d.%m.%y %H:%M"), "a.csv", content, &["1"], &[]);
}

#[test]
fn a_date_and_a_time_make_one_time() {
    let settings = format!(
        "{TABLE}columns = {{ time = [\"Date\", \"Time\"], \"data.card\" = \"Customer ID\", \"data.store\" = \"Location\" }}\n"
    );
    let shop = Shop::new(&settings, "set = { lastStore = \"data.store\" }\n");
    assert_eq!(shop.take("a.csv", include_bytes!("cases/date-and-time.csv")), "");
    assert_eq!((shop.recorded(), shop.value("C-1", "lastStore").as_deref()), (2, Some("Main")));
}

/// The third line has an Ö of one byte, the second an ö of UTF-8.
#[test]
fn one_byte_that_is_not_utf8_changes_no_other_line() {
    let shop = Shop::new("", "set = { note = \"data.note\" }\n");
    let said = shop.take("a.csv", include_bytes!("cases/one-bad-byte.csv"));
    assert!(said.contains("line 3: it is not UTF-8, and others of the file are"), "{said}");
    assert_eq!((shop.recorded(), shop.value("1", "note").as_deref()), (1, Some("Malmö")));
}

/// Its ö is the byte 0x94.
#[test]
fn a_code_page_of_dos_is_read_as_set_and_never_guessed() {
    let content = include_bytes!("cases/dos-code-page.csv");
    let shop = Shop::new("encoding = \"cp850\"\n", "set = { note = \"data.note\" }\n");
    assert_eq!(shop.take("a.csv", content), "");
    assert_eq!(shop.value("1", "note").as_deref(), Some("Malmö"));
    check("", "a.csv", content, &[], &["line 2: it is not UTF-8, and may be of Windows or of DOS; set encoding"]);
}

#[test]
fn rows_of_empty_cells_are_no_events() {
    check("", "a.csv", include_bytes!("cases/blank-rows.csv"), &["1", "2"], &[]);
}

#[test]
fn wide_numbers_keep_their_digits() {
    let settings = format!("{TABLE}numbers = [\"data.total\"]\n");
    let shop = Shop::new(&settings, "set = { total = \"data.total\" }\n");
    assert_eq!(shop.take("a.csv", include_bytes!("cases/wide-numbers.csv")), "");
    assert_eq!(shop.value("0012345678901234567", "total").as_deref(), Some("7777777777777777777777777777"));
}

/// With the mark of UTF-8 before the first event.
#[test]
fn a_byte_order_mark_is_no_part_of_an_event() {
    let content = include_bytes!("cases/bom.ndjson");
    check("", "a.ndjson", content, &["1", "2"], &[]);
    check_batch(content, &["1", "2"]);
}

/// UTF-16, the little end first, with its mark.
#[test]
fn utf16_is_read_from_the_folder_and_from_a_batch() {
    let content = include_bytes!("cases/utf16.ndjson");
    check("", "a.ndjson", content, &["1"], &[]);
    check_batch(content, &["1"]);
}

fn check_batch(content: &[u8], cards: &[&str]) {
    let shop = Shop::new("", VISITS);
    let dir = shop.device.dir.path();
    fs::write(dir.join("batch"), content).unwrap();
    let output = outpost(dir).args(["record", "--batch", "batch"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    shop.check_cards(cards);
}

/// Behind the first line are 4,096 zero bytes.
#[test]
fn zeros_that_a_power_cut_left_are_named_and_the_lines_before_are_recorded() {
    let content = include_bytes!("cases/zero-tail.ndjson");
    check("", "a.ndjson", content, &["1"], &["line 2: it holds zero bytes"]);
    check("", "a.csv", b"card;note\n1;x\n2;y\0\0\0\0", &["1"], &["line 3: it holds zero bytes"]);
}

#[test]
fn a_comma_behind_an_event_is_no_part_of_it() {
    check("", "a.ndjson", include_bytes!("cases/trailing-comma.ndjson"), &["1", "2"], &[]);
}

#[test]
fn what_follows_a_stray_quote_in_an_array_of_one_line_is_named_as_not_read() {
    let event = |card: usize| format!("{{\"id\":\"{card}\",\"data\":{{\"card\":\"{card}\"}}}}");
    let mut events: Vec<String> = (0..20).map(event).collect();
    for broken in [3, 15] {
        events[broken] = events[broken].replace("\"card\":\"", "\"card\":\"5\" ");
    }
    let shop = Shop::new("", VISITS);
    let said = shop.take("a.json", format!("[{}]", events.join(",")).as_bytes());
    let head = "1 of 4, and what was not read behind them, were not recorded; the others were.";
    let told = "line 1: event 3: a quote, a comma or a bracket is missing or too many at line 1 column ";
    assert!(said.starts_with(head) && said.contains(told), "{said}");
    assert!(said.trim_end().ends_with("and what follows it in the file was not read"), "{said}");
    shop.check_cards(&["0", "1", "2"]);
}

#[test]
fn what_is_within_a_broken_event_is_no_event_by_its_indentation() {
    let open = "{\n    \"data\": {\n      \"card\": \"1\",\n      \"items\": [\n        {\"data\": {\"card\": \"2\"}}";
    let inner = "        {\"data\": {\"card\": \"3\"}}\n      ]\n    }";
    let last = "{\"data\": {\"card\": \"4\"}}";
    for (name, text) in [
        ("a.json", format!("[\n  {open},\n]\n{inner}\n  }},\n  {last}\n]\n")),
        ("a.json", format!("{open},\n}}\n{inner}\n}}\n{last}\n")),
        ("a.json", format!("{open}\n}}\n      ],\n      \"x\": [\n{inner}\n}}\n{last}\n")),
    ] {
        let shop = Shop::new("", VISITS);
        let said = shop.take(name, text.as_bytes());
        assert!(said.starts_with("1 of 1, and what was not read behind them, were not recorded"), "{said}");
        assert!(said.trim_end().ends_with("and what follows it in the file was not read"), "{said}");
        shop.check_cards(&[]);
    }
    let lines =
        "{\"data\":{\"card\":\"1\" x,\"items\":[\n{\"data\":{\"card\":\"2\"}},\n{\"data\":{\"card\":\"3\"}}\n]}}\n";
    let told = "line 1: it goes on to line 4, and is no JSON: those lines were not read; an event must be on one line";
    check("", "a.ndjson", format!("{lines}{last}\n").as_bytes(), &["4"], &[told]);
    let whole = lines.replace(" x", "");
    check("", "a.ndjson", format!("{whole}{last}\n").as_bytes(), &["1", "4"], &[]);
}

#[test]
fn a_row_that_is_indented_deeper_than_a_broken_one_is_named() {
    for broken in ["{\"data\":{\"card\":\"2\"},", "{\"data\":{\"card\":\"2},"] {
        let row = |card: &str| format!("{{\"data\":{{\"card\":\"{card}\"}}}}");
        let text = format!("[\n {},\n {broken}\n  {},\n {}\n]\n", row("1"), row("3"), row("4"));
        let shop = Shop::new("", VISITS);
        let said = shop.take("a.json", text.as_bytes());
        let head = "1 of 3, and what was not read behind them, were not recorded; the others were.";
        assert!(said.starts_with(head) && said.trim_end().ends_with("was not read up to line 5"), "{said}");
        shop.check_cards(&["1", "4"]);
    }
}

#[test]
fn a_bracket_that_makes_a_list_of_the_events_behind_it_is_named_where_it_stands() {
    let text = "[{\"data\":{\"card\":\"1\"}}\n,[,{\"data\":{\"card\":\"2\"}},{\"data\":{\"card\":\"3\"}}]\n";
    let told = "line 2: event 1: it is a list, and must be an event, and what follows it in the file was not read";
    check("", "a.json", text.as_bytes(), &["1"], &[told]);
}

#[test]
fn files_of_one_name_and_length_that_grow_while_the_agent_is_down_are_each_read_on() {
    let shop = Shop::new("", VISITS);
    let there = |name: &str| shop.drop_dir().join("done").join(name);
    let drop = |name: &str, content: &str, until: &str| {
        fs::create_dir_all(shop.drop_dir()).unwrap();
        fs::write(shop.drop_dir().join(name), content).unwrap();
        let _agent = shop.device.run();
        while !there(until).exists() {
            std::thread::yield_now();
        }
    };
    drop("a.csv", "card\n1\n2\n", "a.csv");
    drop("a.csv", "card\n3\n4\n", "a-2.csv");
    for (name, row) in [("a.csv", "5\n"), ("a-2.csv", "6\n")] {
        let content = fs::read_to_string(there(name)).unwrap() + row;
        fs::write(there(name), content).unwrap();
    }
    // Read behind those, which were written before.
    drop("b.csv", "card\n7\n", "b.csv");
    shop.check_cards(&["1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn only_true_is_consent_and_a_file_says_why_there_is_none() {
    let line = |ok: &str, card: &str| format!("{{\"id\":\"{card}\",\"data\":{{{ok}\"card\":\"{card}\"}}}}\n");
    let given = ["\"ok\":true,", "\"ok\":1,", "\"ok\":\"true\",", "\"ok\":false,", ""];
    let lines: Vec<String> = given.iter().zip(1..).map(|(ok, card)| line(ok, &card.to_string())).collect();
    let shop = Shop::new("", &format!("{VISITS}[privacy]\nconsent = \"data.ok\"\n"));
    let said = shop.take("a.ndjson", lines.concat().as_bytes());
    let begin = "it was counted, and not stored: consent of [privacy] cannot be computed for it, so there is none: ";
    let told: Vec<&str> = said.lines().collect();
    let head = "3 of 5 were not recorded; the others were, except 1 without consent.";
    assert!(told.len() == 4 && told[0].starts_with(head), "{said}");
    assert_eq!(told[1], format!("line 2: {begin}it must be true or false, and is a number; compare it, such as == 1"));
    assert!(told[2].starts_with(&format!("line 3: {begin}a text is used as true or false")), "{said}");
    assert!(told[3].starts_with(&format!("line 5: {begin}data.ok is not in the event")), "{said}");
    shop.check_cards(&["1"]);

    let sent = lines[1].replace("{\"id\"", "{\"specversion\":\"1.0\",\"source\":\"/b\",\"type\":\"till.sale\",\"id\"");
    shop.device.write("batch.ndjson", &sent);
    let output = shop.device.outpost(&["record", "--batch", "batch.ndjson"]);
    let words = text(&output.stderr);
    assert!(words.contains(&format!("1 of the events were not stored: event 2: {begin}it must be")), "{words}");
}

#[test]
fn check_says_that_a_column_is_no_consent_and_no_number() {
    let said = |settings: &str, takes: &str| {
        let output = Shop::new(settings, takes).device.outpost(&["check"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let consent = |expression: &str| format!("{VISITS}[privacy]\nconsent = \"{expression}\"\n");
    let columns = "[intake.folder.csv]\ncolumns = { \"data.card\" = 1, \"data.ok\" = 2 }\n";
    for (expression, used) in
        [("data.ok == true", "is compared with true or false"), ("data.ok", "is used as true or false")]
    {
        let words = said(columns, &consent(expression));
        let expected = format!("consent of [privacy], \"{expression}\": data.ok of a table {used}, and is a text");
        assert!(words.contains(&expected), "{words}");
    }
    assert!(!said(columns, &consent("data.ok == 'true'")).contains("of a table"));
    // Only the header of a table names its columns.
    let words = said("[intake.folder.csv]\ndecimal = \",\"\n", "add = { spend = \"data.total\" }\n");
    assert!(words.contains("data.total of a table goes into add, max or min, and is a text"), "{words}");
}

#[test]
fn a_column_of_a_header_that_is_taken_as_a_number_has_one_meaning_or_is_named() {
    let takes = "add = { visits = \"1\", spend = \"data.total\" }\n";
    for (settings, total) in [("[intake.folder.csv]\ndecimal = \",\"\n", "1.500"), ("", "1.500"), ("", "2,000.000")] {
        let shop = Shop::new(settings, takes);
        let said = shop.take("a.csv", format!("card;total\n1;{total}\n2;12\n").as_bytes());
        let named =
            total == "1.500" && said.contains("line 2: data.total: a mapping takes it as a number, and it may be read");
        let spend = shop.value("1", "spend");
        assert!(named || spend.is_none(), "{settings}{total}: {said}");
        assert_eq!((shop.value("2", "spend").as_deref(), spend), (Some("12"), None), "{said}");
    }
}

#[test]
fn a_text_that_may_be_thousands_is_no_number_however_a_mapping_takes_it() {
    let csv = |columns: &str| format!("{TABLE}decimal = \",\"\n{columns}");
    let subject = "columns = { \"data.card\" = \"card\", subject = \"total\" }\n";
    for (settings, taken, cell) in [
        ("", "data['to' ~ 'tal']", "1.500"),
        ("", "[data.total] | first", "1.500"),
        ("", "data.total | split(' ') | last", "EUR 1.500"),
        ("", "data.total[:-1]", "-12.500x"),
        ("", "data['to' ~ 'tal'] * 1", "1.500"),
        ("", "1 if data['to' ~ 'tal'] == 1.5 else 0", "1.500"),
        (subject, "subject", "1.500"),
    ] {
        let shop = Shop::new(&csv(settings), &format!("add = {{ visits = \"1\", spend = \"{taken}\" }}\n"));
        let said = shop.take(
            "a.csv",
            format!("card;total\n1;{cell}\n2;x 12\n").replace("x 12", &cell.replace(".500", "")).as_bytes(),
        );
        assert!(shop.value("1", "visits").is_none(), "{taken}: {said}");
        assert!(shop.value("2", "visits").is_some(), "{taken}: {said}");
        let words = "a text such as 1.500 of a table is taken as a number, and may be thousands or a fraction";
        let listed = shop.device.outpost(&["rejected", "list"]);
        assert!(
            said.contains("line 2: ") || text(&listed.stdout).contains(words),
            "{taken}: {said}{}",
            text(&listed.stdout)
        );
    }
}

#[test]
fn two_cells_are_compared_as_the_numbers_that_they_are_or_not_at_all() {
    for when in ["data.total > data.limit", "8 < data.limit < data.total", "data.total > '9' and data.limit <= '9.0'"] {
        let shop = Shop::new(TABLE, &format!("when = \"{when}\"\n{VISITS}"));
        assert_eq!(shop.take("a.csv", b"card;total;limit\n1;10;9\n2;9;10\n3;word;9\n4;10;word\n"), "");
        let visits = ["1", "2", "3", "4"].map(|card| shop.value(card, "visits"));
        assert_eq!(visits, [Some("1".to_owned()), None, None, None], "{when}");
        let listed = text(&shop.device.outpost(&["rejected", "list"]).stdout);
        assert!(listed.contains("two texts are compared by < or >, and one is no number"), "{when}: {listed}");
    }
}

#[test]
fn a_cell_in_another_notation_is_not_silently_unequal_to_a_number() {
    for when in ["data.total in [1500, 1.5]", "data.total == 1.5", "data.total not in [7]"] {
        let shop = Shop::new(TABLE, &format!("when = \"{when}\"\n{VISITS}"));
        assert_eq!(shop.take("a.csv", b"card;total\n1;1.5\n2;1,5\n3;1 500\n4;5 kg\n"), "");
        let visits = ["1", "2", "3"].map(|card| shop.value(card, "visits"));
        assert_eq!(visits, [Some("1".to_owned()), None, None], "{when}");
        let listed = text(&shop.device.outpost(&["rejected", "list"]).stdout);
        assert_eq!(
            listed.matches("a text such as 1,5 or 1 500 of a table is compared with a number").count(),
            2,
            "{listed}"
        );
    }
}

#[test]
fn check_says_that_a_column_is_compared_as_a_number_however_that_is_written() {
    for when in ["data.total > data.limit", "data.total > '9'", "data.total in [5,6]", "data.total == 5"] {
        let shop = Shop::new("[intake.folder.csv]\ndelimiter = \";\"\n", &format!("when = \"{when}\"\n{VISITS}"));
        let said = text(&shop.device.outpost(&["check"]).stderr);
        assert!(said.contains("data.total of a table is compared as a number, and is a text"), "{when}: {said}");
    }
}

#[test]
fn a_cell_that_is_counted_only_after_a_change_of_the_mapping_has_one_meaning_or_is_refused() {
    let shop = Shop::new(
        &format!("{TABLE}decimal = \",\"\n"),
        "set = { spend = \"data.total\" }\n[privacy]\nkeep_data = \"all\"\n",
    );
    let toml = fs::read_to_string(shop.device.dir.path().join("agent.toml")).unwrap();
    shop.device.write("agent.toml", &toml.replace("data.card", "data.number"));
    assert_eq!(shop.take("a.csv", b"card;total\n1;1.500\n2;12\n"), "");
    shop.device.write("agent.toml", &toml.replace("set = {", "add = {"));
    let agent = shop.device.run();
    let output = shop.device.outpost(&["rejected", "retry", "--all"]);
    drop(agent);
    assert_eq!(
        (shop.value("1", "spend"), shop.value("2", "spend").as_deref()),
        (None, Some("12")),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_bad_event_of_an_array_takes_no_other_with_it() {
    let content = include_bytes!("cases/array-with-a-bad-one.json");
    let bad = "line 1: event 1: specversion: this is not valid JSON: expected value at line 1 column 113";
    check("", "a.json", content, &["1", "3"], &[bad]);
}

#[test]
fn what_is_wrong_with_an_event_is_named_where_it_stands_in_the_file() {
    let lines = "{\"data\":{\"card\":\"1\"}}\n  {\"data\": nothing}\n";
    let bad = "line 2: data: this is not valid JSON: expected ident at line 2 column 13";
    check("", "a.ndjson", lines.as_bytes(), &["1"], &[bad]);
}

#[test]
fn a_setting_that_can_never_be_right_is_refused_by_check() {
    let columns = "columns = { time = \"T\", \"data.card\" = \"card\" }\n";
    for (setting, words) in [
        ("time_format = \"dd.MM.yyyy\"", "time_format in [intake.folder.csv] must tell the day"),
        ("time_format = \"%K\"", "time_format in [intake.folder.csv] must tell the day"),
        ("time_format = \"\"", "time_format in [intake.folder.csv] must tell the day"),
        ("time_zone = \"Europe/Stokholm\"", "time_zone in [intake.folder.csv] must be a name such as"),
        ("numbers = [\"data.totl\"]", "numbers names data.totl, which no column is"),
        ("decimal = \";\"", "decimal in [intake.folder.csv]"),
        ("header = false", "header = false in [intake.folder.csv] needs columns with places"),
        ("quote = \"ab\"", "quote in [intake.folder.csv] must be one ASCII character"),
    ] {
        let shop = Shop::new(&format!("{TABLE}{columns}{setting}\n"), VISITS);
        let (code, said) = shop.device.fails(&["check"]);
        assert_eq!(code, Some(2), "{setting}");
        assert!(said.contains(words), "{setting}: {said}");
    }
    let clash = "columns = { \"data.card\" = 1, \"data.card.number\" = 2 }\n";
    let (code, said) = Shop::new(&format!("{TABLE}{clash}"), VISITS).device.fails(&["check"]);
    assert!(code == Some(2) && said.contains("data.card and data.card.number cannot both be columns"), "{said}");
    let shop = Shop::new("encoding = \"latin\"\n", VISITS);
    let (_, said) = shop.device.fails(&["check"]);
    assert!(said.contains("encoding in [intake.folder] must be a name such as utf-8"), "{said}");
}

#[test]
fn a_file_in_which_one_line_may_be_of_dos_is_guessed_nowhere() {
    let doubt = "others of the file may be of DOS; set encoding in [intake.folder]";
    let content = b"card;store\n1;Lund\n2;Malm\x94\n3;Caf\xE9\n";
    let three = format!("line 4: it is not UTF-8, and {doubt}");
    check(
        "",
        "a.csv",
        content,
        &["1"],
        &["line 3: it is not UTF-8, and may be of Windows or of DOS; set encoding", &three],
    );
    check("", "a.csv", b"card;store\n1;Stra\xE1e\n2;Lund\n", &["2"], &["line 2: it is not UTF-8, and may be"]);
    let shop = Shop::new("encoding = \"cp850\"\n", "set = { store = \"data.store\" }\n");
    assert_eq!(shop.take("a.csv", b"card;store\n1;Stra\xE1e\n"), "");
    assert_eq!(shop.value("1", "store").as_deref(), Some("Straße"));
}

/// Я of windows-1251 and é of DOS alone are other characters in Windows-1252; the quoted Ö of Windows-1252 is half UTF-8.
#[test]
fn one_letter_that_shows_nothing_of_its_encoding_is_named() {
    let doubt = "line 2: it is not UTF-8, and may be of Windows or of DOS; set encoding";
    check("", "a.csv", b"card;store\n1;a \xDF b\n2;Lund\n", &["2"], &[doubt]);
    check("", "a.csv", b"card;store\n1;\x82\n2;Lund\n", &["2"], &[doubt]);
    check(
        "",
        "a.csv",
        b"card;store\n1;\x93\xD6\x94\n2;Lund\n",
        &["2"],
        &["line 2: it is UTF-8 only in part; set encoding"],
    );
    check("", "a.csv", b"card;store\n1;\xD6\n2;K\xF6ln\n", &["1", "2"], &[]);
}

#[test]
fn files_that_were_joined_are_read_each_by_its_own_header() {
    for content in [
        "\u{feff}card;store\n1;Lund\n\u{feff}card;store\n2;Kiel\n",
        "card;store\n\u{200b}1;Lund\ncard;store\n2\u{200b};Kiel\n",
        "card;store;\n1;Lund;\n\u{feff}Card;STORE;\n2;Kiel;\n",
        "card;store;till\n1;Lund;3\n\u{feff}store;till;card\nKiel;3;2\n",
    ] {
        let shop = Shop::new("", "set = { store = \"data.store\" }\nadd = { visits = \"1\" }\n");
        assert_eq!(shop.take("a.csv", content.as_bytes()), "", "{content}");
        shop.check_cards(&["1", "2"]);
        assert_eq!(shop.value("2", "store").as_deref(), Some("Kiel"), "{content}");
    }
    let other = "card;store;total\n1;Lund;5\ncard;total;till\n2;5;7\n\u{feff}card;store;total\n3;Lund;5\n";
    check(
        "",
        "a.csv",
        other.as_bytes(),
        &["1", "3"],
        &["line 3: it is a header and not the first one", "line 4: it is below the header of line 3"],
    );
    // A survey of channels: nobody knows whether line 3 is a row or a header.
    let doubt = "email;sms\n1;x\nsms;email\n2;y\n";
    let named = ["line 3: it is a header and not the first one", "line 4: it is below the header of line 3"];
    let shop =
        Shop::new("[intake.folder.csv]\ncolumns = { \"data.card\" = \"email\" }\n", "add = { visits = \"1\" }\n");
    let errors = shop.take("a.csv", doubt.as_bytes());
    named.iter().for_each(|words| assert!(errors.contains(words), "{errors}"));
    shop.check_cards(&["1"]);
    let line = |card: &str| format!("\u{feff}{{\"type\":\"t\",\"data\":{{\"card\":\"{card}\"}}}}\n");
    check("", "a.ndjson", (line("1") + &line("2")).as_bytes(), &["1", "2"], &[]);
    check("", "a.json", (line("1") + &line("2")).as_bytes(), &["1", "2"], &[]);
}

#[test]
fn a_file_of_another_kind_is_one_error() {
    let page = "\r\n<!DOCTYPE html>\n<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>Not Found</h1>\n</body></html>\n";
    for (settings, name) in [
        ("", "a.csv"),
        ("", "a.json"),
        ("", "a.ndjson"),
        ("[intake.folder.csv]\ncolumns = { \"data.card\" = 1 }\n", "a.csv"),
    ] {
        check(settings, name, page.as_bytes(), &[], &["line 1: it is a page of HTML, and must be what its name says"]);
    }
    check("", "a.csv", b"PK\x03\x04\x14\0\x06\0\n1;2\n", &[], &["line 1: it is a ZIP archive or a workbook"]);
    // Some programs write the names of columns so.
    check(
        "[intake.folder.csv]\ncolumns = { \"data.card\" = \"<CARD>\" }\n",
        "a.csv",
        b"<CARD>;<TOTAL>\n1;5\n",
        &["1"],
        &[],
    );
}

/// What `record --batch` says of a file that it does not record whole.
fn batch_error(content: &str) -> String {
    let device = Device::new();
    device.write("batch", content);
    let output = device.outpost(&["record", "--batch", "batch"]);
    assert_eq!(output.status.code(), Some(1), "{content}");
    text(&output.stderr)
}

#[test]
fn a_batch_names_a_broken_event_by_its_place_in_the_file() {
    let good = |id: &str| format!("{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/t\",\"type\":\"t\"}}");
    let said = batch_error(&format!("{}\n\n{{?}}\n", good("1")));
    assert!(said.contains("line 3: this is not valid JSON: key must be a string at line 3 column 2"), "{said}");
    let said = batch_error(&format!("[\n{},\n  {{\"id\":7}}]", good("1")));
    assert!(said.contains("event 1: id: it is not a text\n"), "{said}");
    let said = batch_error(&format!("{}\n{{\"data\":{{\"a\":1e999}}}}", good("1")));
    assert!(said.contains("line 2: data: this is not valid JSON: number out of range at line 2 column"), "{said}");
    let said = batch_error(&format!("[\n{},\n  {{\"data\":{{\"a\":1e999}}}}]", good("1")));
    assert!(said.contains("event 1: data: this is not valid JSON: number out of range at line 3 column 20"), "{said}");
}

#[test]
fn a_name_that_occurs_twice_in_the_data_is_an_error_and_no_guess() {
    let line = |data: &str| format!("{{\"type\":\"till.sale\",\"data\":{data}}}\n");
    let content = line("{\"card\":\"1\"}")
        + &line("{\"card\":\"2\",\"card\":\"3\"}")
        + &line("{\"card\":\"4\",\"items\":[{},{\"a\":1,\"a\":2}]}");
    check(
        "",
        "a.ndjson",
        content.as_bytes(),
        &["1"],
        &["line 2: data.card: it occurs twice, and must once", "line 3: data.items[1].a: it occurs twice"],
    );
    let long = line("{\"card\":\"1\"}") + &line("{\"card\":1e999}");
    check(
        "",
        "a.ndjson",
        long.as_bytes(),
        &["1"],
        &["line 2: data: this is not valid JSON: number out of range at line 2 column 40"],
    );
    let device = Device::new();
    let named = ["record", "--type", "t", "--data", "{\"a\":{\"b\":1,\"b\":2}}"];
    let (code, said) = device.fails(&named);
    assert!(code == Some(1) && said.contains("data.a.b: it occurs twice"), "{code:?} {said}");
}

#[test]
fn a_time_of_the_wall_clock_that_is_never_there_or_there_twice_is_named() {
    let settings =
        "[intake.folder.csv]\ncolumns = { time = \"T\", \"data.card\" = \"card\" }\ntime_zone = \"Europe/Stockholm\"";
    let content = "T;card\n2026-03-29 01:30;1\n2026-03-29 02:30;2\n2025-10-26 02:30;3\n2025-10-26 03:30;4\n";
    check(
        settings,
        "a.csv",
        content.as_bytes(),
        &["1", "4"],
        &[
            "line 3: time: the clock of Europe/Stockholm goes forward",
            "line 4: time: the clock of Europe/Stockholm is set back",
        ],
    );
}

#[test]
fn a_line_within_a_cell_is_no_event_and_refuses_no_row() {
    let content = b"card,note\n1,a\n2,\"bought:\nTea, 2\nJam, 3\nthanks\"\n3,c\n";
    let told: [&str; 4] = [
        "line 3: the quote of cell 2 is closed in line 6: these lines are one row, or several",
        "line 4: it may be a row, or a line within a cell of the row of line 3, which is broken; set multiline",
        "line 5: it may be",
        "line 6: it may be",
    ];
    check(TABLE, "a.csv", content, &["1", "3"], &told);
    check(&format!("{TABLE}multiline = true\n"), "a.csv", content, &["1", "2", "3"], &[]);
    let told = ["line 3: the quote of cell 2 is not closed on its line", "line 6: cell 1 has a quote"];
    check(&format!("{TABLE}multiline = false\n"), "a.csv", content, &["1", "Tea", "Jam", "3"], &told);
    let quoted = "\"card\";\"note\";\"total\"\r\n\"1\";\"a\";\"5\"\r\n\"2\";\"x\";\"Tea; 2; x\r\nthree\r\nlines\"\r\n\"3\";\"c\";\"7\"\r\n";
    check(TABLE, "a.csv", quoted.as_bytes(), &["1", "2", "3"], &[]);
}

#[test]
fn an_item_of_a_broken_event_over_several_lines_is_no_event() {
    let event = |card: u64| {
        let item = |sku: u64| format!("      {{\n        \"data\": {{\"card\": \"s{sku}\"}}\n      }}");
        let items = format!("    \"items\": [\n{},\n{}\n    ]", item(0), item(1));
        format!("{{\n  \"data\": {{\n    \"card\": \"{card}\",\n{items}\n  }}\n}}\n")
    };
    let cut = event(1).trim_end().strip_suffix('}').unwrap().to_owned();
    let headless = event(1).split_once('\n').unwrap().1.to_owned();
    for broken in [&cut, &headless, &event(1).replace("\"data\": {\n", "\"data\": ]{\"\n")] {
        let shop = Shop::new("", VISITS);
        let said = shop.take("a.ndjson", format!("{broken}{}{}", event(2), event(3)).as_bytes());
        assert!(said.contains("line 1: "), "{said}");
        shop.check_cards(&["2", "3"]);
    }
    let array = format!("[\n{headless},\n{}]\n", event(2));
    let shop = Shop::new("", VISITS);
    let said = shop.take("a.json", array.as_bytes());
    assert!(said.contains("line 2: event 0: the beginning of the event is missing"), "{said}");
    assert_eq!((shop.value("s0", "visits"), shop.value("s1", "visits")), (None, None));
}

#[test]
fn what_dos_or_a_macintosh_has_written_is_named() {
    let doubt = "line 2: it is not UTF-8, and ";
    for cell in [b"S\xC6o Paulo".as_slice(), b"20 \xF8C", b"5 m\xFC", b"K\xBFbenhavn", b"\xC4\xC1", b"\xA4\xA0"] {
        let content = [b"card;note\n1;", cell, b"\n2;x\n"].concat();
        check("", "a.csv", &content, &["2"], &[doubt]);
    }
    let wrong = "line 2: it is UTF-8, and encoding in [intake.folder] says another";
    check("encoding = \"shift_jis\"\n", "a.csv", "card;note\n1;Malmö\n2;x\n".as_bytes(), &["2"], &[wrong]);
}

#[test]
fn a_file_without_a_known_delimiter_or_without_data_is_no_success() {
    for sign in ["^", "~", ":", "   "] {
        let said = Shop::new("", VISITS).take("a.csv", "card^note\n1^x\n2^y\n".replace('^', sign).as_bytes());
        assert!(
            said.starts_with("Nothing of this file was recorded.\nline 1: only one column is recognised"),
            "{said}"
        );
    }
    let missing = "data: it is missing, and card is no member of an event; an event is as in {\"data\": {\"card\": …}}";
    let told = [format!("line 1: event 0: {missing}"), format!("line 1: event 1: {missing}")];
    check("", "a.json", b"[{\"card\":\"0\"},{\"card\":\"1\"}]", &[], &told.each_ref().map(String::as_str));
    check(
        "",
        "a.ndjson",
        b"{\"data\":{\"card\":\"1\"}} {\"data\":{\"card\":\"2\"}}\n{\"data\":{\"card\":\"3\"}}\n",
        &["1", "2", "3"],
        &[],
    );
}

#[test]
fn settings_of_a_table_that_contradict_each_other_are_refused_by_check() {
    for (setting, words) in [
        ("delimiter = \"\\\"\"", "delimiter and quote in [intake.folder.csv] must be two signs"),
        ("quote = \";\"\ndelimiter = \";\"", "delimiter and quote in [intake.folder.csv] must be two signs"),
        ("delimiter = \"\\n\"", "delimiter in [intake.folder.csv] must be a sign or a tab"),
        ("numbers = [\"time\"]", "numbers in [intake.folder.csv] can only name fields of data; time is none"),
        (
            "columns = { \"data.card\" = \"card\" }\ntime_format = \"%F\"",
            "time_format in [intake.folder.csv] needs a column of time",
        ),
    ] {
        let (code, said) = Shop::new(&format!("{TABLE}{setting}\n"), VISITS).device.fails(&["check"]);
        assert!(code == Some(2) && said.contains(words), "{setting}: {said}");
    }
}
