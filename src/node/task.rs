//! Work of a node that goes on while its guest is away: handshakes, resolvers, a protocol's timers.
//!
//! ```text
//! object --Handle<T>--> task --Waiter::Task--> the objects below it
//!    guest's calls        '--Watch--> woken: the guest, or the task above
//! ```
//!
//! A protocol's objects (control, connection, stream) hold a [`Handle`] to the task that has their common state; a
//! task owns the objects of the layer below and waits for them. A woken task is polled in the order of waking,
//! once a turn.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

use super::object::Context;
use super::slab::{Id, Slab};
use crate::event::Queue;
use crate::time::Instant;

pub trait Task: Any + Send {
    /// Goes on as far as it can without waiting, and registers what it waits for under `Waiter::Task(me)`. Called
    /// when it was made, woken, or its time has come.
    fn poll(&mut self, cx: &mut Context, me: TaskId);

    /// When it is to be polled if nothing wakes it before.
    fn poll_at(&self) -> Option<Instant> {
        None
    }

    /// True once nobody holds it and it has nothing left to do: it is dropped then.
    fn is_over(&self) -> bool;

    /// False while it has something to send that was written.
    fn is_drained(&self) -> bool {
        true
    }

    /// The node's lingering is over: lets go of what it holds below, at once.
    fn abort(&mut self, cx: &mut Context);
}

pub type TaskId = Id<Entry>;

/// A task's place.
pub struct Entry {
    /// `None` while it is at work.
    task: Option<Box<dyn Task>>,
    ready: bool,
    /// When it is to be polled.
    timer: Option<Instant>,
    /// When the queue brings it up: at that time or before. A timer that is put off, as those of protocols are with each packet,
    /// leaves nothing behind in the queue.
    queued: Option<Instant>,
}

/// Refers to a task of a known type.
pub struct Handle<T> {
    id: TaskId,
    kind: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    /// For a task that knows its own id and kind; one of another kind is never found by it.
    pub fn new(id: TaskId) -> Self {
        Self { id, kind: PhantomData }
    }

    pub fn id(self) -> TaskId {
        self.id
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Handle<T> {}
impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {:?}", self.id)
    }
}

/// The tasks of one node. It takes no room before there is one: many guests have none.
#[derive(Default)]
pub struct Tasks(Option<Box<Kept>>);

#[derive(Default)]
struct Kept {
    entries: Slab<Entry>,
    ready: VecDeque<TaskId>,
    timers: Queue<(TaskId, Instant)>,
    turns: u64,
}

impl Tasks {
    /// Looks at a task; `None` if it is gone, or is itself at work.
    pub fn get<T: Task>(&self, handle: Handle<T>) -> Option<&T> {
        let task: &dyn Any = &**self.0.as_ref()?.entries.get(handle.id)?.task.as_ref()?;
        task.downcast_ref()
    }

    fn make_ready(&mut self, id: TaskId) {
        if let Some(kept) = &mut self.0 {
            kept.make_ready(id);
        }
    }

    /// How often tasks were put to work so far: what protocols cost, however fast the machine is.
    pub(super) fn turns(&self) -> u64 {
        self.0.as_ref().map_or(0, |kept| kept.turns)
    }

    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.entries.len())
    }

    fn take(&mut self, id: TaskId) -> Option<Box<dyn Task>> {
        let kept = self.0.as_mut()?;
        kept.turns += 1;
        kept.entries.get_mut(id)?.task.take()
    }

    /// A task was at work: back to its place, its timer set anew, unless it is over.
    fn put_back(&mut self, id: TaskId, task: Box<dyn Task>) {
        if let Some(kept) = &mut self.0 {
            kept.put_back(id, task);
        }
    }

    fn collect(&mut self, now: Instant, woken: &mut Vec<TaskId>) {
        match &mut self.0 {
            Some(kept) => kept.collect(now, woken),
            None => woken.clear(),
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| !kept.ready.is_empty())
    }

    pub(super) fn poll_at(&self) -> Option<Instant> {
        self.0.as_ref()?.timers.next_at()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.0.as_ref().is_none_or(|kept| {
            kept.entries.ids().all(|id| {
                let task = kept.entries.get(id).and_then(|entry| entry.task.as_ref());
                task.is_none_or(|task| task.is_drained())
            })
        })
    }
}

impl Kept {
    fn make_ready(&mut self, id: TaskId) {
        if let Some(entry) = self.entries.get_mut(id)
            && !entry.ready
        {
            entry.ready = true;
            self.ready.push_back(id);
        }
    }

    fn put_back(&mut self, id: TaskId, task: Box<dyn Task>) {
        if task.is_over() {
            self.entries.remove(id);
            return;
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.timer = task.poll_at();
        entry.task = Some(task);
        self.queue_timer(id);
    }

    fn queue_timer(&mut self, id: TaskId) {
        if let Some(entry) = self.entries.get_mut(id)
            && let Some(at) = entry.timer
            && entry.queued.is_none_or(|queued| at < queued)
        {
            entry.queued = Some(at);
            self.timers.push(at, (id, at));
        }
    }

    fn collect(&mut self, now: Instant, woken: &mut Vec<TaskId>) {
        for id in woken.drain(..) {
            self.make_ready(id);
        }
        self.settle_timers();
        while let Some((id, _)) = self.timers.pop_due(now) {
            if let Some(entry) = self.entries.get_mut(id) {
                (entry.timer, entry.queued) = (None, None);
            }
            self.make_ready(id);
            self.settle_timers();
        }
    }

    /// Has the first in the queue be one that counts: what it is for may be gone, or put off.
    fn settle_timers(&mut self) {
        while let Some(&(id, at)) = self.timers.peek() {
            let entry = self.entries.get_mut(id).filter(|entry| entry.queued == Some(at));
            if entry.as_ref().is_some_and(|entry| entry.timer == Some(at)) {
                return;
            }
            if let Some(entry) = entry {
                entry.queued = None;
            }
            self.timers.pop_due(at);
            self.queue_timer(id);
        }
    }
}

impl Context<'_> {
    /// Begins a task; it is polled at the end of this turn.
    pub fn spawn<T: Task>(&mut self, task: T) -> Handle<T> {
        let entry = Entry { task: Some(Box::new(task)), ready: false, timer: None, queued: None };
        let kept = self.tasks.0.get_or_insert_default();
        let id = kept.entries.insert(entry);
        kept.make_ready(id);
        Handle::new(id)
    }

    /// Puts a task to work, which may use this context meanwhile; `None` if it is gone, or at work already.
    pub fn with_task<T: Task, R>(
        &mut self,
        handle: Handle<T>,
        work: impl FnOnce(&mut T, &mut Context) -> R,
    ) -> Option<R> {
        let mut task = self.tasks.take(handle.id)?;
        let any: &mut dyn Any = &mut *task;
        let answer = any.downcast_mut::<T>().map(|task| work(task, self));
        self.tasks.put_back(handle.id, task);
        answer
    }

    /// Polls `id` at the end of this turn.
    pub fn wake_task(&mut self, id: TaskId) {
        self.tasks.make_ready(id);
    }

    /// Polls what is ready now, once each.
    pub(super) fn run_tasks(&mut self) {
        self.tasks.collect(self.now, self.stack.wakes().tasks());
        if let Some(namespace) = self.namespace {
            self.tasks.collect(self.now, namespace.stack.wakes().tasks());
        }
        let count = self.tasks.0.as_ref().map_or(0, |kept| kept.ready.len());
        for _ in 0..count {
            let Some(kept) = &mut self.tasks.0 else { break };
            let Some(id) = kept.ready.pop_front() else { break };
            if let Some(entry) = kept.entries.get_mut(id) {
                entry.ready = false;
            }
            if let Some(mut task) = self.tasks.take(id) {
                task.poll(self, id);
                self.tasks.put_back(id, task);
            }
        }
        if let Some(kept) = &mut self.tasks.0 {
            kept.settle_timers();
        }
    }

    pub(super) fn abort_tasks(&mut self) {
        let ids = self.tasks.0.iter().flat_map(|kept| kept.entries.ids()).collect::<Vec<_>>();
        for id in ids {
            if let Some(mut task) = self.tasks.take(id) {
                task.abort(self);
                self.tasks.put_back(id, task);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Node;
    use super::*;
    use crate::rng::Seed;

    /// Puts its timer off whenever it is polled.
    struct Putting {
        at: Instant,
        polled: u32,
        over: bool,
    }

    impl Task for Putting {
        fn poll(&mut self, cx: &mut Context, _: TaskId) {
            self.polled += 1;
            self.at = cx.now + Duration::from_secs(10);
        }

        fn poll_at(&self) -> Option<Instant> {
            Some(self.at)
        }

        fn is_over(&self) -> bool {
            self.over
        }

        fn abort(&mut self, _: &mut Context) {}
    }

    fn timers(node: &Node) -> usize {
        node.tasks.0.as_ref().map_or(0, |kept| kept.timers.len())
    }

    #[test]
    fn a_timer_that_is_put_off_or_gone_leaves_nothing_behind() {
        let mut node = Node::new(&[], &[], Seed(1).fork("stack"), Seed(1).fork("guest"));
        let task = node.spawn(Putting { at: Instant::START, polled: 0, over: false });
        let second = |n: u64| Instant::START + Duration::from_secs(n);
        for n in 0..9 {
            node.with_task(task, |_, cx| cx.wake_task(task.id()));
            node.poll(second(n));
        }
        assert_eq!(timers(&node), 1);
        assert_eq!(node.poll_at(), Some(second(18)));
        // It is not polled at the time that was put off.
        node.poll(second(10));
        assert_eq!(node.with_task(task, |task, _| task.polled), Some(9));
        node.poll(second(18));
        assert_eq!(node.with_task(task, |task, _| task.polled), Some(10));
        node.with_task(task, |task, _| task.over = true);
        node.poll(second(19));
        assert_eq!((timers(&node), node.poll_at()), (0, None));
    }
}
