//! A resolver against servers that lie, stall, go round in circles, or say nothing.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{RData, Record};

use super::*;
use crate::dns::name::fully_qualified;
use crate::node::stack::{Listener, Udp};
use crate::node::{Interest, Node};

/// What a server says to the question that came as number `n`.
type Script = fn(n: usize, question: &Message) -> Vec<Vec<u8>>;

/// A server on the resolver's own node, at loopback; over TCP it accepts, and says nothing.
struct Server {
    port: u16,
    script: Script,
    sockets: Option<(Id<Udp>, Id<Listener>)>,
    asked: usize,
}

impl Task for Server {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        let local = SocketAddr::from(([127, 0, 0, 1], self.port));
        let (udp, listener) = *self.sockets.get_or_insert_with(|| {
            let udp = cx.stack.udp_bind(local).unwrap();
            cx.stack.udp_listen(udp, 64).unwrap();
            let tcp = cx.stack.tcp_bind(local).unwrap();
            (udp, cx.stack.listen(tcp, 64, Default::default()))
        });
        let mut buffer = [0; 512];
        while let Ok(flow) = cx.stack.udp_accept(udp) {
            while let Ok((count, _)) = cx.stack.flow_read(flow, &mut buffer, false) {
                let question = Message::from_vec(&buffer[..count]).unwrap();
                for answer in (self.script)(self.asked, &question) {
                    // Up to what the flow takes.
                    let _ = cx.stack.flow_write(flow, &answer);
                }
                self.asked += 1;
            }
            cx.stack.flow_release(flow);
        }
        cx.stack.udp_watch(udp, Interest::READ, Waiter::Task(me));
        cx.stack.listener_watch(listener, Interest::READ, Waiter::Task(me));
    }

    fn is_over(&self) -> bool {
        false
    }

    fn abort(&mut self, _: &mut Context) {}
}

/// Looks names up, one after another.
struct Asker {
    resolver: Handle<Resolver>,
    names: Vec<&'static str>,
    pending: Option<Id<Lookup>>,
    outcomes: Vec<Outcome>,
}

impl Task for Asker {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        loop {
            let resolver = self.resolver;
            if let Some(id) = self.pending {
                let Some(outcome) = cx.with_task(resolver, |resolver, _| resolver.take(id)).flatten() else {
                    return;
                };
                self.outcomes.push(outcome);
                self.pending = None;
            }
            let Some(name) = self.names.pop() else { return };
            let name = HostName::parse(name).unwrap();
            let families = Families::only(Family::V4);
            let look_up = |task: &mut Resolver, cx: &mut Context| {
                task.look_up(cx, resolver, &name, families, Whom::Anybody, Waiter::Task(me))
            };
            match cx.with_task(resolver, look_up).unwrap() {
                Progress::Done(outcome) => self.outcomes.push(outcome),
                Progress::Pending(id) => self.pending = Some(id),
            }
        }
    }

    fn is_over(&self) -> bool {
        false
    }

    fn abort(&mut self, _: &mut Context) {}
}

/// What came of a run: outcomes, how often the servers were asked, and how long it took.
struct Run {
    outcomes: Vec<Result<Vec<String>, (Error, String)>>,
    asked: Vec<usize>,
    took: Duration,
}

fn run(scripts: &[Script], names: &[&'static str], private: &[&str]) -> Run {
    run_with(&[], scripts, names, private)
}

/// `dead`: ports that nobody is at, asked first.
fn run_with(dead: &[u16], scripts: &[Script], names: &[&'static str], private: &[&str]) -> Run {
    let mut node = Node::new(&[], &[], Seed(1).fork("stack"), Seed(1).fork("guest"));
    let servers: Vec<_> = scripts
        .iter()
        .zip(1000..)
        .map(|(&script, port)| (port, node.spawn(Server { port, script, sockets: None, asked: 0 })))
        .collect();
    let guest = LabHost { node: 0, given: vec![[10, 0, 0, 2].into()] };
    let lab = BTreeMap::from([(HostName::parse("guest").unwrap(), guest)]);
    let config = ResolverConfig {
        names: Arc::new(Names { lab, ..Default::default() }),
        servers: dead
            .iter()
            .copied()
            .chain(servers.iter().map(|&(port, _)| port))
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect(),
        private: private.iter().map(|domain| HostName::parse(domain).unwrap()).collect(),
        ..Default::default()
    };
    let resolver = node.spawn(Resolver::new(Arc::new(config)));
    let names: Vec<_> = names.iter().rev().copied().collect();
    let wanted = names.len();
    let asker = node.spawn(Asker { resolver, names, pending: None, outcomes: Vec::new() });
    let mut now = Instant::START;
    for _ in 0..100_000 {
        if !node.poll(now) {
            if node.task(asker).unwrap().outcomes.len() == wanted {
                break;
            }
            now = node.poll_at().expect("something is waited for").max(now);
        }
    }
    let outcomes = node.task(asker).unwrap().outcomes.iter().map(|outcome| match outcome {
        Ok(addresses) => Ok(addresses.iter().map(ToString::to_string).collect()),
        Err(failure) => Err((failure.error, failure.why.clone())),
    });
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(outcomes.len(), wanted, "it goes on for ever");
    let asked = servers.iter().map(|&(_, server)| node.task(server).unwrap().asked).collect();
    Run { outcomes, asked, took: now.elapsed() }
}

fn answer(question: &Message, data: &[RData]) -> Message {
    let mut message = question.clone().into_response();
    let name = question.queries[0].name.clone();
    for data in data {
        message.add_answer(Record::from_rdata(name.clone(), 60, data.clone()));
    }
    message
}

fn address(question: &Message, octets: [u8; 4]) -> Vec<Vec<u8>> {
    vec![answer(question, &[RData::A(A(octets.into()))]).to_vec().unwrap()]
}

const GOOD: Script = |_, question| address(question, [192, 0, 2, 7]);
const SILENT: Script = |_, _| vec![];

#[test]
fn what_was_told_is_kept() {
    let got = run(&[GOOD], &["a.test", "A.test", "guest", "b.test"], &[]);
    let told = Ok(vec!["192.0.2.7".to_owned()]);
    assert_eq!(got.outcomes, [told.clone(), told.clone(), Ok(vec!["10.0.0.2".to_owned()]), told]);
    assert_eq!(got.asked, [2]);
}

#[test]
fn silence_is_waited_for_and_not_for_ever() {
    let got = run(&[SILENT, SILENT], &["a.test"], &[]);
    let (error, why) = got.outcomes[0].clone().unwrap_err();
    assert_eq!((error, got.asked, got.took), (Error::NameServer, vec![2, 2], Duration::from_secs(20)));
    assert_eq!(why, "a.test: no name server answers; the last one: 127.0.0.1:1001 did not answer in 5 s");
    let second = run(&[SILENT, GOOD], &["a.test"], &[]);
    assert!(second.outcomes[0].is_ok());
    assert_eq!(second.took, Duration::from_secs(5));
}

#[test]
fn answers_to_other_questions_are_not_taken() {
    let forged: Script = |_, question| {
        let forge = |n: u16| {
            let mut message = answer(question, &[RData::A(A::new(6, 6, 6, 6))]);
            message.metadata.id = question.metadata.id.wrapping_add(1 + n);
            message.to_vec().unwrap()
        };
        let mut answers: Vec<_> = (0..40).map(forge).collect();
        answers.extend(address(question, [192, 0, 2, 7]));
        answers
    };
    assert_eq!(run(&[forged], &["a.test"], &[]).outcomes, [Ok(vec!["192.0.2.7".to_owned()])]);
    let garbage: Script = |n, _| {
        let mut bytes = vec![0; 100];
        Seed(n as u64).fork("garbage").fill(&mut bytes);
        vec![bytes; 80]
    };
    let got = run(&[garbage], &["a.test"], &[]);
    assert_eq!(got.outcomes[0].as_ref().unwrap_err().0, Error::NameServer);
    assert_eq!(got.asked, [2]);
}

#[test]
fn aliases_without_end_come_to_one() {
    let chain: Script = |n, question| {
        let next = fully_qualified(&format!("n{n}.test")).unwrap();
        vec![answer(question, &[RData::CNAME(CNAME(next))]).to_vec().unwrap()]
    };
    let got = run(&[chain], &["a.test"], &[]);
    let (error, why) = got.outcomes[0].clone().unwrap_err();
    assert_eq!(error, Error::NameServer);
    assert!(why.ends_with("leads from alias to alias without end"), "{why}");
    assert!(got.asked[0] <= 20, "asked {:?} times", got.asked);
    let itself: Script = |_, question| {
        let own = question.queries[0].name.clone();
        vec![answer(question, &[RData::CNAME(CNAME(own))]).to_vec().unwrap()]
    };
    assert_eq!(run(&[itself], &["a.test"], &[]).outcomes[0].as_ref().unwrap_err().0, Error::NameServer);
}

#[test]
fn a_connection_that_stalls_ends_like_silence() {
    let cut: Script = |_, question| {
        let mut message = answer(question, &[]);
        message.metadata.truncation = true;
        vec![message.to_vec().unwrap()]
    };
    let got = run(&[cut, GOOD], &["a.test"], &[]);
    assert_eq!(got.outcomes, [Ok(vec!["192.0.2.7".to_owned()])]);
    assert_eq!(got.took, Duration::from_secs(5));
}

#[test]
fn names_from_outside_do_not_lead_inside() {
    let inside: Script = |_, question| address(question, [10, 0, 0, 2]);
    let (error, why) = run(&[inside], &["a.test"], &[]).outcomes[0].clone().unwrap_err();
    assert_eq!(error, Error::Access);
    assert!(why.starts_with("a.test leads to 10.0.0.2, a private address, says 127.0.0.1:1000"), "{why}");
    assert!(run(&[inside], &["a.test"], &["test"]).outcomes[0].is_ok());
    let own: Script = |_, question| address(question, [127, 0, 0, 1]);
    assert_eq!(run(&[own], &["a.test"], &["test"]).outcomes[0].as_ref().unwrap_err().0, Error::Access);
}

#[test]
fn a_server_that_fails_is_passed_over_at_once() {
    let failing: Script = |_, question| {
        let mut message = answer(question, &[]);
        message.metadata.response_code = ResponseCode::ServFail;
        vec![message.to_vec().unwrap()]
    };
    let got = run(&[failing, GOOD], &["a.test"], &[]);
    assert!(got.outcomes[0].is_ok());
    assert_eq!((got.took, got.asked), (Duration::ZERO, vec![1, 1]));
}

#[test]
fn a_server_that_is_not_there_is_passed_over_at_once() {
    let got = run_with(&[999], &[GOOD], &["a.test"], &[]);
    assert!(got.outcomes[0].is_ok());
    assert_eq!(got.took, Duration::ZERO);
}
