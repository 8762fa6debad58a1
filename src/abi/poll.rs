//! `poll_oneoff`: clocks, files and network objects in one call.

use std::time::Duration;

use wasmtime_wasi::p1::types::{self, Errno};
use wiggle::{GuestMemory, GuestPtr};

use super::errno::errno;
use super::rights::Rights;
use super::table::{Descriptor, NetworkKind, Stdio};
use super::{Context, suspend};
use crate::node::{Interest, Node, ObjectId, Readiness};
use crate::time::Instant;

/// Subscriptions of one call.
const SUBSCRIPTIONS_MAX: u32 = 65_536;
/// Looking at one, in bytes copied: little, as servers of many clients poll them all, again and again.
const SUBSCRIPTION_EFFORT: usize = 4;

/// One subscription, resolved.
enum Source {
    /// On the monotonic clock.
    Clock(Instant),
    /// A time of day, since the Unix epoch: the clock may be set while somebody waits for it.
    WallClock(Duration),
    Object(ObjectId, Interest),
    Stdin,
    /// Ready at any time, with this many bytes.
    Always,
    Failed(Errno),
}

struct Subscription {
    userdata: types::Userdata,
    kind: types::Eventtype,
    source: Source,
}

impl Context {
    pub(super) async fn poll(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size, types::Error> {
        if count == 0 {
            return Err(Errno::Inval.into());
        }
        const SUBSCRIPTION_BYTES: u32 = 48;
        const EVENT_BYTES: u32 = 32;
        for (offset, each) in [(subscriptions.offset(), SUBSCRIPTION_BYTES), (events.offset(), EVENT_BYTES)] {
            let bytes = count.checked_mul(each).ok_or(Errno::Fault)?;
            memory.as_cow(GuestPtr::<[u8]>::new((offset, bytes)))?;
        }
        if count > SUBSCRIPTIONS_MAX {
            return Err(Errno::Inval.into());
        }
        // Each is looked at again after a wait, which is another turn then.
        self.effort.add(count as usize * SUBSCRIPTION_EFFORT);
        let list = subscriptions
            .as_array(count)
            .iter()
            .map(|subscription| Ok(self.resolve(memory.read(subscription?)?)))
            .collect::<Result<Vec<_>, types::Error>>()?;
        let epoch = self.epoch;
        loop {
            let ready = {
                let mut node = self.charged();
                let ready: Vec<_> = list.iter().filter_map(|each| event(&mut node, epoch, each)).collect();
                if ready.is_empty() {
                    list.iter().for_each(|each| register(&mut node, epoch, each));
                }
                ready
            };
            if !ready.is_empty() {
                for (to, event) in events.as_array(count).iter().zip(&ready) {
                    memory.write(to?, event.clone())?;
                }
                return Ok(ready.len() as types::Size);
            }
            suspend(&mut self.effort).await;
        }
    }

    fn resolve(&self, subscription: types::Subscription) -> Subscription {
        let (kind, source) = match &subscription.u {
            types::SubscriptionU::Clock(clock) => (types::Eventtype::Clock, self.clock(clock)),
            types::SubscriptionU::FdRead(on) => {
                (types::Eventtype::FdRead, self.descriptor(on.file_descriptor, Interest::READ))
            }
            types::SubscriptionU::FdWrite(on) => {
                (types::Eventtype::FdWrite, self.descriptor(on.file_descriptor, Interest::WRITE))
            }
        };
        Subscription { userdata: subscription.userdata, kind, source }
    }

    fn clock(&self, clock: &types::SubscriptionClock) -> Source {
        let now = self.charged().clock();
        let absolute = clock.flags.contains(types::Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME);
        let timeout = Duration::from_nanos(clock.timeout);
        match clock.id {
            types::Clockid::Realtime if absolute => Source::WallClock(timeout),
            types::Clockid::Monotonic if absolute => Source::Clock(Instant::START + timeout),
            types::Clockid::Realtime | types::Clockid::Monotonic => Source::Clock(now + timeout),
            types::Clockid::ProcessCputimeId | types::Clockid::ThreadCputimeId => {
                Source::Failed(Errno::Notsup)
            }
        }
    }

    fn descriptor(&self, fd: types::Fd, interest: Interest) -> Source {
        match self.table.get(fd) {
            Err(errno) => Source::Failed(errno),
            Ok(Descriptor::File(_)) => Source::Always,
            Ok(Descriptor::Stdio { stream, .. }) => match (stream, interest.read) {
                (Stdio::In, true) => Source::Stdin,
                (Stdio::Out | Stdio::Err, false) => Source::Always,
                (Stdio::In, false) | (Stdio::Out | Stdio::Err, true) => Source::Failed(Errno::Badf),
            },
            Ok(Descriptor::Network(network)) => {
                if network.kind == NetworkKind::Protocol {
                    Source::Failed(Errno::Inval)
                } else if network.base.contains(Rights::POLL_FD_READWRITE) {
                    Source::Object(network.id, interest)
                } else {
                    Source::Failed(Errno::Notcapable)
                }
            }
        }
    }
}

/// The event of a subscription that is ready.
fn event(node: &mut Node, epoch: Duration, subscription: &Subscription) -> Option<types::Event> {
    let answer = |error, readiness: Readiness, bytes: usize| types::Event {
        userdata: subscription.userdata,
        error,
        type_: subscription.kind,
        fd_readwrite: types::EventFdReadwrite {
            nbytes: bytes as u64,
            flags: if readiness.hangup {
                types::Eventrwflags::FD_READWRITE_HANGUP
            } else {
                types::Eventrwflags::empty()
            },
        },
    };
    let nothing = Readiness::default();
    match subscription.source {
        Source::Failed(errno) => Some(answer(errno, nothing, 0)),
        Source::Always => Some(answer(Errno::Success, nothing, 0)),
        Source::Clock(at) => (at <= node.clock()).then(|| answer(Errno::Success, nothing, 0)),
        Source::WallClock(at) => (at <= node.wall_clock(epoch)).then(|| answer(Errno::Success, nothing, 0)),
        Source::Stdin => match node.stdio.readable() {
            Some(0) => None,
            Some(bytes) => Some(answer(Errno::Success, nothing, bytes)),
            None => Some(answer(Errno::Success, Readiness { hangup: true, ..nothing }, 0)),
        },
        Source::Object(id, interest) => match node.readiness(id) {
            Err(error) => Some(answer(errno(error), nothing, 0)),
            Ok(readiness) if interest.read && readiness.read => {
                Some(answer(Errno::Success, readiness, readiness.read_bytes))
            }
            Ok(readiness) if interest.write && readiness.write => {
                Some(answer(Errno::Success, readiness, readiness.write_bytes))
            }
            // What never comes is answered at once.
            Ok(_) => node.never(id, interest).map(|error| answer(errno(error), nothing, 0)),
        },
    }
}

fn register(node: &mut Node, epoch: Duration, subscription: &Subscription) {
    match subscription.source {
        Source::Clock(at) => node.wake_at(at),
        Source::WallClock(at) => {
            let wait = at.saturating_sub(node.wall_clock(epoch));
            let at = node.clock() + wait;
            node.wake_at(at);
        }
        Source::Object(id, interest) => node.watch(id, interest),
        Source::Stdin => node.stdio.watch_input(),
        Source::Always | Source::Failed(_) => {}
    }
}
