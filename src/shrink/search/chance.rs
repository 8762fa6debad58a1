//! Chance, and the lists that take its place.

use super::super::ddmin::Stopped;
use super::super::lists;
use super::super::script::Place;
use super::Search;

/// Frames that lists may name and make the scenario longer.
const FRAMES_MAX: usize = 32;
/// Runs that one look at the lists may take, and those after which they are not to be as long as that any more. Where many
/// frames have a part in it by turns, each could be asked about once more for each other.
const FRAMES_RUNS_MAX: u64 = 400;
const LONG_RUNS_MAX: u64 = 100;

impl Search<'_> {
    /// Lists of what became of each frame in the place of chance: on all links, or else on each for itself. Where so many
    /// frames have a part in it that the scenario is longer for their lists, chance says it better.
    pub(super) fn chance(&mut self) -> Result<(), Stopped> {
        self.phase = "chance";
        let text = self.script.text();
        if self.long_for.as_ref() != Some(&text) {
            let before = (self.script.clone(), self.plan.clone(), self.report.clone());
            if self.with_lists()? && self.before_lists.is_none() {
                self.before_lists = Some(before);
            }
        }
        self.frames()
    }

    /// Back to chance, if lists are longer than what they say; true if so.
    pub(super) fn without_long_lists(&mut self) -> bool {
        if !self.is_long() {
            return false;
        }
        let Some(before) = self.before_lists.take() else { return false };
        (self.script, self.plan, self.report) = before;
        self.long_for = Some(self.script.text());
        true
    }

    /// Lists are longer than what the whole scenario was.
    fn is_long(&self) -> bool {
        lists::listed(&self.script).len() > FRAMES_MAX && self.script.text().len() > self.length
    }

    fn with_lists(&mut self) -> Result<bool, Stopped> {
        let cables = lists::random_cables(&self.script, &self.plan);
        if cables.is_empty() || self.listed(&cables)? {
            return Ok(!cables.is_empty());
        }
        let mut some = false;
        for cable in cables {
            some |= self.listed(&[cable])?;
        }
        Ok(some)
    }

    /// Of delays too, or else of drops and duplicates alone.
    fn listed(&mut self, cables: &[(Place, usize)]) -> Result<bool, Stopped> {
        let lists = |all| lists::with_lists(&self.script, &self.plan, &self.report, cables, all);
        let candidates = [true, false].into_iter().filter_map(lists).collect();
        self.keep_one(candidates)
    }

    fn frames(&mut self) -> Result<(), Stopped> {
        self.phase = "frames";
        let listed = lists::listed(&self.script);
        let first = self.runs;
        let is_over = |search: &Search<'_>| {
            let most = if search.is_long() { LONG_RUNS_MAX } else { FRAMES_RUNS_MAX };
            search.runs >= first + most
        };
        self.reduce(
            &listed,
            |search, base, gone| {
                if is_over(search) { None } else { Some(lists::without_listed(base, gone)) }
            },
        )?;
        self.is_complete &= self.is_long() || !is_over(self);
        Ok(())
    }
}
