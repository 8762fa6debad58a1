//! What is to happen to a lab while it runs: its `[[at]]` entries, resolved.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smoltcp::wire::{EthernetAddress, IpCidr};
use toml::de::{DeTable, DeValue};

use super::DeviceRef;
use crate::filter::Filter;
use crate::network::link::{LinkParameters, Rate, Trace};
use crate::rng::Rng;
use crate::scenario::spec::knobs_over;

/// One entry: an action, and when it is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryPlan {
    pub when: When,
    /// What it waits for after its trigger; nothing for a time.
    pub delay: Span,
    /// Taken again and again, so long after the last time; drawn anew for each.
    pub every: Option<Span>,
    /// Not taken later than this, counted from the lab's beginning.
    pub until: Option<Duration>,
    /// How often at most.
    pub times: Option<u64>,
    pub action: Action,
}

/// When an entry is first taken. Of several guests, replicas, the first counts.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// So long after the lab began.
    Time(Span),
    /// Once a guest's standard output, or its standard error, has this text in it.
    Printed {
        guests: Vec<usize>,
        text: String,
    },
    Started {
        guests: Vec<usize>,
    },
    Exited {
        guests: Vec<usize>,
    },
    /// At the first such packet that crosses a port, either way.
    Packet {
        port: PortPlan,
        packet: PacketMatch,
    },
    /// At the first packet that crosses a port, either way, and matches a display filter, as a capture of that port alone
    /// would show it.
    Matching {
        port: PortPlan,
        filter: Filter,
    },
}

/// A duration, or a range to draw one from, both ends among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub least: Duration,
    pub most: Duration,
}

impl Span {
    /// Uniform, to the nanosecond. Always one draw.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        let width = u64::try_from((self.most - self.least).as_nanos()).unwrap_or(u64::MAX - 1);
        self.least + Duration::from_nanos(rng.below(width + 1))
    }
}

/// A port of the lab: an end of one of the plan's links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPlan {
    pub link: usize,
    pub end: usize,
}

/// What a packet must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMatch {
    pub protocol: ProtocolMatch,
    /// Of its source or its destination; `None`: any.
    pub port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolMatch {
    Tcp(TcpMatch),
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpMatch {
    Any,
    /// SYN without ACK.
    Syn,
    SynAck,
    Fin,
    Rst,
    /// With payload.
    Data,
}

/// Machines that are stopped or started, by their places in the plan's lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machines {
    pub guests: Vec<usize>,
    /// DHCP servers among them, which have a process as guests have.
    pub routers: Vec<usize>,
    /// DNS servers.
    pub services: Vec<usize>,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Change {
        links: Vec<usize>,
        /// Forward and backward.
        directions: [bool; 2],
        change: LinkChange,
    },
    /// Frames from a device of one side to a device of another are dropped. It takes the place of the partition
    /// before.
    Partition(Vec<Vec<DeviceRef>>),
    Heal,
    /// Gone at once, as a machine whose power fails; `graceful`: as a process that is killed, whose kernel closes
    /// what it had open. Routers have no process, and are never graceful.
    Kill {
        machines: Machines,
        graceful: bool,
    },
    /// Its stack goes on, and answers as the kernel of a stopped process does.
    Pause(Machines),
    Resume(Machines),
    /// Killed if need be, and started anew: guests from their modules, routers with empty tables, servers with what the scenario
    /// has them know.
    Restart {
        machines: Machines,
        graceful: bool,
    },
    Rebind {
        guest: usize,
        interface: usize,
        addresses: Vec<IpCidr>,
    },
    /// Hosts are told of its new prefixes.
    RebindRouter {
        router: usize,
        interface: usize,
        addresses: Vec<IpCidr>,
    },
    /// A server has another range from now on, and the leases of these clients are over.
    Dhcp {
        router: usize,
        range: Option<(Ipv4Addr, Ipv4Addr)>,
        revoke: Vec<EthernetAddress>,
    },
    Inject {
        port: PortPlan,
        frames: FramesPlan,
    },
    /// The guests' wall clocks are so many nanoseconds ahead of the lab's from now on.
    Clock {
        guests: Vec<usize>,
        skew_ns: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramesPlan {
    /// A whole Ethernet frame.
    One(Bytes),
    /// A pcap or pcapng file: its frames, with the time between them.
    Capture(PathBuf),
}

/// Knobs of a link, as TOML: laid over what the link has when the time comes, so that those which are not named
/// stay as they are then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkChange {
    knobs: String,
    /// What the rate follows from then on, if the knobs say a trace, which is a file.
    trace: Option<Arc<Trace>>,
}

impl Action {
    /// The links whose knobs it changes, by their place in the plan.
    pub fn links(&self) -> &[usize] {
        self.change().map_or(&[], |(links, ..)| links)
    }

    /// Which links' knobs it changes, in which directions, and how.
    pub fn change(&self) -> Option<(&[usize], [bool; 2], &LinkChange)> {
        match self {
            Action::Change { links, directions, change } => Some((links, *directions, change)),
            Action::Partition(_)
            | Action::Heal
            | Action::Kill { .. }
            | Action::Pause(_)
            | Action::Resume(_)
            | Action::Restart { .. }
            | Action::Rebind { .. }
            | Action::RebindRouter { .. }
            | Action::Dhcp { .. }
            | Action::Inject { .. }
            | Action::Clock { .. } => None,
        }
    }
}

impl LinkChange {
    /// Of a table that was checked.
    pub(in crate::scenario) fn new(table: &DeTable<'_>) -> LinkChange {
        LinkChange { knobs: entries(table).join("\n"), trace: None }
    }

    /// What `down` and `up` change.
    pub(in crate::scenario) fn up(up: bool) -> LinkChange {
        LinkChange { knobs: format!("up = {up}"), trace: None }
    }

    /// With the trace that its knobs name.
    pub(in crate::scenario) fn follow(&mut self, trace: Arc<Trace>) {
        self.trace = Some(trace);
    }

    /// The delay that it sets.
    pub(in crate::scenario) fn delay(&self) -> Option<Duration> {
        let [none, other] = [Duration::ZERO, Duration::from_nanos(1)]
            .map(|delay| self.over(&LinkParameters { delay, ..LinkParameters::default() }).delay);
        (none == other).then_some(none)
    }

    pub fn over(&self, parameters: &LinkParameters) -> LinkParameters {
        match DeTable::parse(&self.knobs) {
            Ok(table) => {
                let mut after = knobs_over(table.get_ref(), parameters);
                if let Some(trace) = &self.trace {
                    after.rate = Rate::Trace(Arc::clone(trace));
                }
                after
            }
            Err(error) => unreachable!("{self:?} was written here: {error}"),
        }
    }
}

/// As [`DeTable::parse`] takes it.
fn entries(table: &DeTable<'_>) -> Vec<String> {
    table
        .iter()
        .map(|(key, value)| format!("{} = {}", quoted(key.get_ref()), toml(value.get_ref())))
        .collect()
}

fn toml(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(|element| toml(element.get_ref())).collect();
            format!("[{}]", elements.join(", "))
        }
        DeValue::Table(table) => format!("{{ {} }}", entries(table).join(", ")),
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::link::{Chance, Loss, QueueLimits};

    #[test]
    fn a_change_names_some_knobs_and_leaves_the_others() {
        let text = "delay = \"50ms\"\nloss = 0.1\nqueue = 0x10";
        let change = LinkChange::new(DeTable::parse(text).unwrap().get_ref());
        let chance = |probability| Chance { probability, correlation: 0.0 };
        let before =
            LinkParameters { rate: Rate::BytesPerSecond(1000), corrupt: chance(0.5), ..Default::default() };
        let after = LinkParameters {
            delay: Duration::from_millis(50),
            loss: Loss::Random(chance(0.1)),
            queue: QueueLimits { frames_max: 16, bytes_max: None },
            ..before.clone()
        };
        assert_eq!(change.over(&before), after);
        assert_eq!(quoted("a\"\\\n"), r#""a\"\\\u000A""#);
    }

    #[test]
    fn a_range_is_drawn_with_both_its_ends() {
        let span = Span { least: Duration::from_nanos(7), most: Duration::from_nanos(9) };
        let mut rng = crate::rng::Seed(1).fork("span");
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|_| span.draw(&mut rng).as_nanos()).collect();
        assert_eq!(drawn, [7, 8, 9].into());
    }
}
