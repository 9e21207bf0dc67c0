//! A failing story made small: steps are left out as long as it fails in the same way.

use std::time::Duration;

use super::target::Nature;
use super::wire::Faults;
use super::world::{Step, Story};

impl Story {
    /// The smallest story found in so many tries that still fails, as `fails` says.
    pub fn shrunk(&self, tries: usize, fails: impl Fn(&Self) -> bool) -> Self {
        let mut shrinking = Shrinking { story: self.clone(), left: tries, fails };
        shrinking.steps();
        shrinking.changes();
        shrinking.calm();
        shrinking.steps();
        shrinking.story
    }
}

struct Shrinking<F> {
    story: Story,
    left: usize,
    fails: F,
}

impl<F: Fn(&Story) -> bool> Shrinking<F> {
    fn takes(&mut self, story: Story) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let fails = (self.fails)(&story);
        if fails {
            self.story = story;
        }
        fails
    }

    /// Leaves out runs of steps, long ones first. Time is kept: what is left out of it makes the next wait longer.
    fn steps(&mut self) {
        let mut length = self.story.steps.len().div_ceil(2);
        while length > 0 {
            let mut from = 0;
            while from < self.story.steps.len() {
                let to = (from + length).min(self.story.steps.len());
                let mut steps = self.story.steps.clone();
                let passed: Duration = steps.drain(from..to).map(|step| step.lasts()).sum();
                let mut with_time = steps.clone();
                if !passed.is_zero() {
                    with_time.insert(from, Step::Advance { by: passed });
                }
                let is_shorter = with_time.len() < self.story.steps.len();
                let taken = self.takes(Story { steps, ..self.story.clone() })
                    || (is_shorter && self.takes(Story { steps: with_time, ..self.story.clone() }));
                if !taken {
                    from = to;
                }
            }
            length /= 2;
        }
    }

    /// Leaves single attributes out of events and visits.
    fn changes(&mut self) {
        for step in 0..self.story.steps.len() {
            for place in (0..8).rev() {
                let mut story = self.story.clone();
                let is_less = match &mut story.steps[step] {
                    Step::Event { changes, .. } if place < changes.len() && changes.len() > 1 => {
                        changes.remove(place);
                        true
                    }
                    Step::Visit { writes, .. } if place < writes.len() => {
                        writes.remove(place);
                        true
                    }
                    _ => false,
                };
                if is_less {
                    self.takes(story);
                }
            }
        }
    }

    /// Takes kinds of trouble out of Target one by one.
    fn calm(&mut self) {
        let natures: [fn(&mut Nature); 6] = [
            |nature| nature.has_caches = false,
            |nature| nature.single_shows_max = Duration::ZERO,
            |nature| nature.batch_shows_max = Duration::ZERO,
            |nature| nature.singles_per_day = None,
            |nature| (nature.dropped, nature.failed, nature.stuck) = (0, 0, 0),
            |nature| nature.times = super::target::Times::Each,
        ];
        for calmer in natures {
            let mut story = self.story.clone();
            calmer(&mut story.nature);
            self.takes(story);
        }
        let faults: [fn(&mut Faults); 10] = [
            |faults| faults.lost_after = 0,
            |faults| faults.lost_before = 0,
            |faults| faults.lost_later = 0,
            |faults| faults.unreachable = 0,
            |faults| faults.server_error = 0,
            |faults| faults.throttled = 0,
            |faults| faults.unauthorized = 0,
            |faults| faults.portal = 0,
            |faults| faults.stranger = 0,
            |faults| faults.flapping = 0,
        ];
        for calmer in faults {
            let mut story = self.story.clone();
            for step in &mut story.steps {
                if let Step::Faults(faults) = step {
                    calmer(faults);
                }
            }
            self.takes(story);
        }
    }
}

impl Step {
    fn lasts(&self) -> Duration {
        match self {
            Self::Advance { by } => *by,
            _ => Duration::ZERO,
        }
    }
}
