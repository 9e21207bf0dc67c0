//! The oracle accepts an agent that does it right, and names what each wrong one does.

use super::agents::{Flaw, Small};
use super::customer;
use super::oracle::{BookRow, Kind, State, books};
use super::world::{START, Story, Told};

fn tell(story: &Story, flaw: Flaw) -> Told {
    story.tell(|device| Small::new(device, flaw))
}

fn words(story: &Story, told: &Told) -> String {
    let findings: String = told.findings.iter().map(|finding| format!("  {finding}\n")).collect();
    let sent: String = told
        .target
        .journal
        .requests
        .iter()
        .enumerate()
        .map(|(place, request)| format!("  request {place}: {request:?}\n"))
        .collect();
    format!(
        "{}{findings}{}",
        story.lines(),
        if std::env::var_os("MODEL_SHOW").is_some() { sent } else { String::new() }
    )
}

/// The story, made small and told in words.
fn shrunk(story: &Story, flaw: Flaw) -> String {
    let kind = tell(story, flaw).findings[0].kind;
    let small =
        story.shrunk(400, |story| tell(story, flaw).findings.first().is_some_and(|finding| finding.kind == kind));
    words(&small, &tell(&small, flaw))
}

#[test]
fn a_right_agent_is_accepted_in_every_story() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("MODEL_SEED") {
        let story = Story::of_seed(seed);
        let told = tell(&story, Flaw::None);
        assert!(told.findings.is_empty(), "{}\nSHRUNK\n{}", words(&story, &told), shrunk(&story, Flaw::None));
        return;
    }
    let seeds = number("MODEL_SEEDS").unwrap_or(2_000);
    let mut failed = Vec::new();
    let mut actions = 0;
    for seed in 0..seeds {
        let told = tell(&Story::of_seed(seed), Flaw::None);
        actions += told.actions;
        if let Some(finding) = told.findings.first() {
            failed.push((seed, finding.kind));
        }
    }
    let first = failed.first().map(|(seed, _)| shrunk(&Story::of_seed(*seed), Flaw::None)).unwrap_or_default();
    assert!(failed.is_empty(), "{} of {seeds} ({actions} actions): {failed:?}\n{first}", failed.len());
}

/// Among the first seeds there is one where the flaw is found, and named so.
#[allow(clippy::print_stdout)]
fn finds(flaw: Flaw, kinds: &[Kind]) {
    let found = (0..2_000).find_map(|seed| {
        let story = Story::of_seed(seed);
        let told = tell(&story, flaw);
        told.findings.iter().any(|finding| kinds.contains(&finding.kind)).then_some(story)
    });
    let story = found.unwrap_or_else(|| panic!("{flaw:?} is never found"));
    if std::env::var_os("MODEL_SHOW").is_some() {
        println!("{flaw:?}\n{}", shrunk(&story, flaw));
    }
}

#[test]
fn who_counts_twice_after_a_lost_answer_is_found() {
    finds(Flaw::CountsTwice, &[Kind::TooMuch]);
    finds(Flaw::CountsTwice, &[Kind::ItemTwice]);
}

#[test]
fn who_takes_sending_for_delivery_is_found() {
    finds(Flaw::SendIsDelivery, &[Kind::TooLittle, Kind::Gone]);
    finds(Flaw::SendIsDelivery, &[Kind::Wrong]);
}

#[test]
fn who_lets_an_attempt_stand_after_a_no_is_found() {
    finds(Flaw::AttemptStands, &[Kind::TooLittle]);
}

#[test]
fn who_sends_an_old_frozen_batch_is_found() {
    finds(Flaw::FrozenBatch, &[Kind::Unread]);
}

#[test]
fn who_reads_nothing_is_found() {
    finds(Flaw::Blind, &[Kind::Unread]);
    finds(Flaw::Blind, &[Kind::Vanished, Kind::Gone]);
}

#[test]
fn who_sends_narrow_rows_is_found() {
    finds(Flaw::NarrowRow, &[Kind::Gone]);
}

#[test]
fn who_never_looks_back_is_found() {
    finds(Flaw::NeverLooksBack, &[Kind::TooLittle, Kind::Wrong, Kind::ItemMissing]);
}

#[test]
fn who_hammers_is_found() {
    use super::journal::MisdeedKind::{Hammering, Impatient};
    finds(Flaw::Hammers, &[Kind::Misdeed(Impatient)]);
    finds(Flaw::Hammers, &[Kind::Misdeed(Hammering), Kind::Endless]);
}

#[test]
fn who_sets_over_newer_values_is_found() {
    finds(Flaw::SetsBlindly, &[Kind::Undone]);
}

#[test]
fn who_sends_singles_to_the_unknown_is_found() {
    finds(Flaw::SinglesOnly, &[Kind::Vanished]);
}

#[test]
fn who_never_rejects_is_found() {
    finds(Flaw::NeverRejects, &[Kind::NotQuiet, Kind::Endless]);
}

#[test]
fn a_failing_story_is_told_with_few_steps() {
    let fails = |story: &Story| tell(story, Flaw::CountsTwice).findings.iter().any(|one| one.kind == Kind::TooMuch);
    let story = (0..2_000).map(Story::of_seed).find(|story| story.steps.len() > 60 && fails(story)).unwrap();
    let small = story.shrunk(400, fails);
    assert!(fails(&small) && small.steps.len() <= 16, "{}", small.lines());
}

#[test]
fn books_balance_when_each_version_has_one_fate() {
    let row = |state, version, delivered| BookRow {
        device: 0,
        identity: customer(0),
        name: "visits".to_owned(),
        version,
        delivered_version: delivered,
        state,
        reason: None,
    };
    let is_right = |row: BookRow| books(&[row], &[], START).is_empty();
    assert!(is_right(row(State::Delivered, 3, Some(3))) && !is_right(row(State::Delivered, 3, Some(2))));
    assert!(is_right(row(State::Pending, 3, None)) && !is_right(row(State::Pending, 3, Some(3))));
    assert!(is_right(row(State::InFlight, 3, Some(1))) && !is_right(row(State::InFlight, 3, Some(3))));
    assert!(is_right(row(State::Superseded, 3, Some(3))));
    assert!(!is_right(row(State::Refused, 3, None)), "a refusal has a reason");
    assert!(is_right(BookRow { reason: Some("400".to_owned()), ..row(State::Refused, 3, None) }));
    assert!(!books(&[row(State::Pending, 1, None), row(State::Pending, 1, None)], &[], START).is_empty());
}
