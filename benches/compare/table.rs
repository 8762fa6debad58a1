//! Rows of figures, and how both sides of a comparison are measured.

/// What a figure is.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Of one operation; less is better.
    Seconds,
    /// More is better.
    BytesPerSecond,
    /// Less is better.
    Bytes,
    /// More is better.
    PerSecond,
    /// More is better.
    Ratio,
}

impl Unit {
    fn better(self, one: f64, other: f64) -> f64 {
        match self {
            Unit::BytesPerSecond | Unit::PerSecond | Unit::Ratio => one.max(other),
            Unit::Seconds | Unit::Bytes => one.min(other),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value >= 0.01 => format!("{value:.3} s"),
            Unit::Seconds => format!("{:.2} us", value * 1e6),
            Unit::PerSecond if value >= 10_000.0 => format!("{:.0} k/s", value / 1e3),
            Unit::PerSecond => format!("{value:.1} /s"),
            Unit::BytesPerSecond => format!("{:.2} Gbit/s", value * 8.0 / 1e9),
            Unit::Ratio => format!("{value:.2}"),
            Unit::Bytes => format!("{:.1} KiB", value / 1024.0),
        }
    }
}

/// What a ratio of ours to the peer's should be.
#[derive(Clone, Copy)]
pub enum Goal {
    None,
    /// Ours by theirs.
    AtLeast(f64),
    /// Ours by theirs.
    AtMost(f64),
    /// Theirs by ours.
    TimesFaster(f64),
}

/// Runs both sides in turn, so that whatever else the machine does meets both; the best run of each counts.
pub fn alternate(runs: usize, unit: Unit, ours: impl Fn() -> f64, theirs: impl Fn() -> f64) -> (f64, f64) {
    (0..runs)
        .map(|_| (ours(), theirs()))
        .reduce(|best, run| (unit.better(best.0, run.0), unit.better(best.1, run.1)))
        .expect("at least one run")
}

/// The best of so many runs.
pub fn best(runs: usize, unit: Unit, ours: impl Fn() -> f64) -> f64 {
    (0..runs).map(|_| ours()).reduce(|best, run| unit.better(best, run)).expect("at least one run")
}

pub struct Table {
    rows: Vec<[String; 6]>,
    missed: Vec<String>,
}

/// What a row's last column says.
struct Verdict {
    goal: String,
    is_met: bool,
}

impl Table {
    pub fn new() -> Self {
        let head = ["what", "guestnet", "peer", "", "ratio", "goal"];
        Self { rows: vec![head.map(str::to_owned)], missed: Vec::new() }
    }

    pub fn row(&mut self, name: String, peer: &str, unit: Unit, (ours, theirs): (f64, f64), goal: Goal) {
        let (ratio, goal) = match goal {
            Goal::None => (format!("{:.2}", ours / theirs), None),
            Goal::AtLeast(least) => {
                let ratio = ours / theirs;
                (format!("{ratio:.2}"), verdict(format!(">= {least}"), ratio >= least))
            }
            Goal::AtMost(most) => {
                let ratio = ours / theirs;
                (format!("{ratio:.2}"), verdict(format!("<= {most}"), ratio <= most))
            }
            Goal::TimesFaster(least) => {
                let ratio = theirs / ours;
                (format!("{ratio:.1} x"), verdict(format!(">= {least} x"), ratio >= least))
            }
        };
        self.push([name, unit.show(ours), unit.show(theirs), peer.to_owned(), ratio], goal);
    }

    /// A figure in seconds that has a limit of its own.
    pub fn limit(&mut self, name: String, seconds: f64, limit: f64) {
        self.figure_limited(name, Unit::Seconds, seconds, limit);
    }

    pub fn figure_limited(&mut self, name: String, unit: Unit, ours: f64, limit: f64) {
        self.figure_judged(name, unit, ours, verdict(format!("<= {}", unit.show(limit)), ours <= limit));
    }

    pub fn figure_at_least(&mut self, name: String, unit: Unit, ours: f64, least: f64) {
        self.figure_judged(name, unit, ours, verdict(format!(">= {}", unit.show(least)), ours >= least));
    }

    pub fn figure(&mut self, name: String, unit: Unit, ours: f64) {
        self.figure_judged(name, unit, ours, None);
    }

    fn figure_judged(&mut self, name: String, unit: Unit, ours: f64, goal: Option<Verdict>) {
        self.push([name, unit.show(ours), String::new(), String::new(), String::new()], goal);
    }

    fn push(&mut self, [name, ours, theirs, peer, ratio]: [String; 5], verdict: Option<Verdict>) {
        let is_missed = verdict.as_ref().is_some_and(|verdict| !verdict.is_met);
        let goal = verdict.map_or_else(String::new, |Verdict { goal, is_met }| {
            format!("{goal}: {}", if is_met { "met" } else { "NOT met" })
        });
        eprintln!("  {name}: {ours} {theirs} {goal}");
        if is_missed {
            let found = if ratio.is_empty() { &ours } else { &ratio };
            let beside = if peer.is_empty() { String::new() } else { format!(" beside {peer}") };
            self.missed
                .push(format!("{name}{beside}: {found}, wanted {}", goal.trim_end_matches(": NOT met")));
        }
        self.rows.push([name, ours, theirs, peer, ratio, goal]);
    }

    /// The table, and after it the goals that were missed; true if there are none.
    pub fn print(&self) -> bool {
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..6).map(width).collect();
        for [name, ours, theirs, peer, ratio, goal] in &self.rows {
            let line = format!(
                "{name:w0$}  {ours:>w1$}  {theirs:>w2$}  {peer:w3$}  {ratio:>w4$}  {goal}",
                w0 = widths[0],
                w1 = widths[1],
                w2 = widths[2],
                w3 = widths[3],
                w4 = widths[4],
            );
            println!("{}", line.trim_end());
        }
        match self.missed.as_slice() {
            [] => println!("goals missed: none"),
            missed => println!("goals missed:\n  {}", missed.join("\n  ")),
        }
        self.missed.is_empty()
    }
}

fn verdict(goal: String, is_met: bool) -> Option<Verdict> {
    Some(Verdict { goal, is_met })
}
