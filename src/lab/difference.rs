//! Two runs of one lab and seed, which should be the same and are not: what is the first thing that differs.

use std::fmt::Write;

use super::Report;
use crate::capture::Record;
use crate::filter::Dissector;
use crate::time::Instant;

impl Report {
    /// What another run of the same lab and seed had otherwise, the first such thing; `None` if they are the same. Calls are compared
    /// if they were traced: what a guest does differently, it does before its packets tell.
    pub fn difference(&self, other: &Report) -> Option<String> {
        let (call, frame) = (self.first_call(other), self.first_frame(other));
        let first = match (call, frame) {
            (Some((at, call)), Some((of_frame, _))) if at <= of_frame => Some(call),
            (_, Some((_, frame))) => Some(frame),
            (call, None) => call.map(|(_, call)| call),
        };
        first
            .or_else(|| self.first_guest(other))
            .or_else(|| self.ends_differ(other))
            .or_else(|| {
                let (ours, theirs) = (self.capture(), other.capture());
                let at = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
                (ours != theirs).then(|| {
                    format!("the captures have the same frames, and differ otherwise, from byte {at} on")
                })
            })
            .or_else(|| {
                let verdicts = self.verdicts.iter().zip(&other.verdicts);
                let first = verdicts.into_iter().find(|(ours, theirs)| ours != theirs);
                first.map(|(ours, theirs)| {
                    unlike("a verdict differs", &[ours.to_string()], &[theirs.to_string()])
                })
            })
    }

    fn first_call(&self, other: &Report) -> Option<(Instant, String)> {
        let index = first_unlike(&self.calls, &other.calls, |ours, theirs| ours == theirs)?;
        let told = |report: &Report| {
            let call = report.calls.get(index)?;
            Some(format!("{} {}", report.guests[call.guest].name, call.line))
        };
        let at = [self, other].iter().filter_map(|report| Some(report.calls.get(index)?.at)).min()?;
        let (ours, theirs) = (told(self), told(other));
        Some((at, unlike(&format!("call {} differs", index + 1), ours.as_slice(), theirs.as_slice())))
    }

    fn first_frame(&self, other: &Report) -> Option<(Instant, String)> {
        let alike = |ours: &Record, theirs: &Record| {
            let of = |record: &Record| (record.at, record.port, record.way, record.dropped, record.late);
            (of(ours), ours.frame.id, &ours.frame.bytes) == (of(theirs), theirs.frame.id, &theirs.frame.bytes)
        };
        let index = first_unlike(&self.records, &other.records, alike)?;
        let at = [self, other].iter().filter_map(|report| Some(report.records.get(index)?.at)).min()?;
        let (ours, theirs) = (self.frame_told(index), other.frame_told(index));
        let mut text = unlike(
            &format!("frame {} of the capture differs", index + 1),
            ours.as_slice(),
            theirs.as_slice(),
        );
        if ours == theirs
            && let (Some(ours), Some(theirs)) = (self.records.get(index), other.records.get(index))
        {
            // What a person reads of both is the same: it is in what they carry.
            let pairs = ours.frame.bytes.iter().zip(theirs.frame.bytes.iter());
            let byte = pairs.take_while(|(ours, theirs)| ours == theirs).count();
            let _ = write!(text, "\nthey differ from byte {byte} of the frame on");
        }
        Some((at, text))
    }

    /// A frame as a person reads it, after those before it.
    fn frame_told(&self, index: usize) -> Option<String> {
        let record = self.records.get(index)?;
        let mut dissector = Dissector::new(&self.session);
        self.records[..index].iter().for_each(|record| drop(dissector.dissect(record)));
        Some(dissector.dissect(record).to_string())
    }

    fn first_guest(&self, other: &Report) -> Option<String> {
        let (ours, theirs) = self.guests.iter().zip(&other.guests).find(|(ours, theirs)| ours != theirs)?;
        let name = &ours.name;
        for (stream, ours, theirs) in [
            ("output", ours.stdout_bytes(), theirs.stdout_bytes()),
            ("error output", ours.stderr_bytes(), theirs.stderr_bytes()),
        ] {
            if ours != theirs {
                let lines = |bytes: &[u8]| -> Vec<String> {
                    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
                };
                let (ours, theirs) = (lines(ours), lines(theirs));
                let what = format!("the {stream} of guest `{name}` differs");
                return Some(match first_unlike(&ours, &theirs, |ours, theirs| ours == theirs) {
                    Some(line) => unlike(
                        &format!("{what} in line {}", line + 1),
                        ours.get(line).map_or(&[][..], std::slice::from_ref),
                        theirs.get(line).map_or(&[][..], std::slice::from_ref),
                    ),
                    None => format!("{what} in bytes that are no text, or in how its last line ends"),
                });
            }
        }
        let end = |guest: &super::GuestReport| {
            let left = guest.left_open.descriptors;
            [format!("{} at {} s, with {left} descriptors open", guest.exit, guest.at)]
        };
        Some(unlike(&format!("guest `{name}` ended otherwise"), &end(ours), &end(theirs)))
    }

    fn ends_differ(&self, other: &Report) -> Option<String> {
        let end = |report: &Report| {
            [format!("{} at {} s, {:?}, {:?}", report.ending, report.at, report.totals, report.device_drops)]
        };
        let (ours, theirs) = (end(self), end(other));
        if ours != theirs {
            return Some(unlike("the lab ended otherwise", &ours, &theirs));
        }
        let table = |report: &Report| [format!("\n{}", report.netstat.trim_end())];
        (self.netstat != other.netstat)
            .then(|| unlike("sockets at its end differ", &table(self), &table(other)))
    }
}

/// The first place at which two lists are unlike, or at which one has ended.
fn first_unlike<T>(ours: &[T], theirs: &[T], alike: impl Fn(&T, &T) -> bool) -> Option<usize> {
    let both = ours.iter().zip(theirs).take_while(|(ours, theirs)| alike(ours, theirs)).count();
    (both < ours.len().max(theirs.len())).then_some(both)
}

fn unlike(what: &str, ours: &[String], theirs: &[String]) -> String {
    let told = |lines: &[String]| match lines {
        [] => "nothing more".to_owned(),
        lines => lines.join("\n  "),
    };
    format!("{what}\n  one run:   {}\n  the other: {}", told(ours), told(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Lab;

    /// Guests that say something and end; somebody has asked for an address before.
    fn report(says: &str, code: u8) -> Report {
        let toml = "[guest.a]\nmodule = 'a.wat'\n[guest.b]\nmodule = 'a.wat'\n[[at]]\ntime = '0s'\ninject = { port = 'lan.0', frame = \
                    'ffffffffffff 020000000009 0806 00010800060400010200000000090a0000090000000000000a000002' }";
        let mut lab = Lab::from_toml(toml, "lab.toml").unwrap_or_else(|error| panic!("{}", error.plain()));
        let text = format!(
            r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\06\00\00\00")
            (data (i32.const 16) "{says}\n")
            (func (export "_start")
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (call $exit (i32.const {code}))))"#
        );
        lab.set_module("a.wat", text);
        lab.with_trace().run(1)
    }

    #[test]
    fn equal_runs_have_no_difference() {
        assert_eq!(report("hello", 0).difference(&report("hello", 0)), None);
    }

    #[test]
    fn the_first_call_that_differs_is_told_with_its_time() {
        let (one, mut other) = (report("hello", 0), report("hello", 0));
        assert!(one.calls.len() > 1 && !one.records.is_empty(), "{one}");
        other.calls[1].line = "clock_time_get() = 7".to_owned();
        let told = one.difference(&other).unwrap();
        let line = &one.calls[1].line;
        assert!(line.starts_with("0.0"), "{line}");
        let guest = &one.guests[one.calls[1].guest].name;
        let wanted =
            format!("call 2 differs\n  one run:   {guest} {line}\n  the other: {guest} clock_time_get() = 7");
        assert_eq!(told, wanted);
        other.calls.truncate(1);
        let told = one.difference(&other).unwrap();
        assert!(told.ends_with("the other: nothing more"), "{told}");
    }

    #[test]
    fn a_frame_that_differs_is_told_as_a_person_reads_it() {
        let (one, mut other) = (report("hello", 0), report("hello", 0));
        let last = other.records.len() - 1;
        let dropped = &mut other.records[last].dropped;
        *dropped = Some(crate::network::link::DropReason::Loss);
        let told = one.difference(&other).unwrap();
        let number = last + 1;
        assert!(told.starts_with(&format!("frame {number} of the capture differs\n  one run:   ")), "{told}");
        assert!(told.contains(&format!("the other: {number} 0.")), "{told}");
        assert!(told.contains("ARP") && told.contains("lost on the link"), "{told}");
        // What a frame carries may differ where nothing that is shown of it does.
        let mut other = report("hello", 0);
        let frame = &mut other.records[last].frame;
        let mut bytes = frame.bytes.to_vec();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        frame.bytes = bytes.into();
        let told = one.difference(&other).unwrap();
        assert!(told.starts_with(&format!("frame {number} of the capture differs")), "{told}");
        other.records.pop();
        let told = one.difference(&other).unwrap();
        assert!(told.ends_with("the other: nothing more"), "{told}");
    }

    #[test]
    fn what_guests_wrote_and_how_they_ended_is_told() {
        let mut of = ["hello", "hullo", "hello"].map(|says| report(says, 0));
        of[2] = report("hello", 3);
        let [one, other, third] = &mut of;
        // Calls show what is written; without them it is the output that differs.
        let told = one.difference(other).unwrap();
        assert!(told.starts_with("call "), "{told}");
        [&mut *one, &mut *other, &mut *third].into_iter().for_each(|report| report.calls.clear());
        let told = one.difference(other).unwrap();
        assert_eq!(told, "the output of guest `a` differs in line 1\n  one run:   hello\n  the other: hullo");
        let told = one.difference(third).unwrap();
        assert!(told.starts_with("guest `a` ended otherwise\n  one run:   exited with 0 at 0"), "{told}");
        let mut ended = report("hello", 0);
        ended.calls.clear();
        ended.totals.frames += 1;
        assert!(one.difference(&ended).unwrap().starts_with("the lab ended otherwise"));
    }
}
