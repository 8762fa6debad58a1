//! `after`: what a guest does, or what crosses a port.

use toml::Spanned;
use toml::de::DeValue;

use super::only_true;
use crate::scenario::mistake::{Problem, quote};
use crate::scenario::plan::{PacketMatch, ProtocolMatch, TcpMatch};
use crate::scenario::read::{Reader, integer, string};

pub(in crate::scenario) enum AfterSpec {
    Printed { guest: Spanned<String>, text: String },
    Started { guest: Spanned<String> },
    Exited { guest: Spanned<String> },
    Packet { port: Spanned<String>, packet: PacketMatch },
    Matching { port: Spanned<String>, filter: Spanned<String> },
}

pub(super) fn after(reader: &mut Reader<'_>) -> Option<AfterSpec> {
    let mistakes = reader.mistakes;
    let (at, table) = reader.table("after")?;
    let mut reader = Reader::new(table, "`after`", mistakes);
    let guest = reader.get("guest", string);
    let printed = reader.get("printed", text);
    let started = reader.get("started", only_true);
    let exited = reader.get("exited", only_true);
    let port = reader.get("at", string);
    let tcp = reader.get("tcp", tcp).map(|tcp| ProtocolMatch::Tcp(tcp.into_inner()));
    let udp = reader.get("udp", only_true).map(|_| ProtocolMatch::Udp);
    let number = reader.get("port", integer(1..=65_535));
    let filter = reader.get("packet", string);
    let count = |keys: &[&str]| keys.iter().filter(|key| reader.has(key)).count();
    let events = (count(&["printed", "started", "exited"]), count(&["tcp", "udp", "packet"]));
    let (of_guest, of_port) = (reader.has("guest"), reader.has("at"));
    let numbered = reader.has("port");
    let filtered = reader.has("packet");
    reader.finish();
    let help =
        "`guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`";
    let fits = match (of_guest, of_port) {
        (true, false) => events == (1, 0) && !numbered,
        (false, true) => events == (0, 1) && !(filtered && numbered),
        (true, true) | (false, false) => false,
    };
    if !fits {
        mistakes.add(at, "after: is not one event", help);
        return None;
    }
    let number = number.and_then(|number| u16::try_from(number.into_inner()).ok());
    match (guest, port) {
        (Some(guest), _) => match (printed, started, exited) {
            (Some(text), ..) => Some(AfterSpec::Printed { guest, text: text.into_inner() }),
            (None, Some(_), _) => Some(AfterSpec::Started { guest }),
            (None, None, Some(_)) => Some(AfterSpec::Exited { guest }),
            (None, None, None) => None,
        },
        (None, Some(port)) if filtered => Some(AfterSpec::Matching { port, filter: filter? }),
        (None, Some(port)) => {
            let packet = PacketMatch { protocol: tcp.or(udp)?, port: number };
            Some(AfterSpec::Packet { port, packet })
        }
        (None, None) => None,
    }
}

fn text(value: &DeValue<'_>) -> Result<String, Problem> {
    match string(value)? {
        text if text.is_empty() => Err(Problem::new("is empty", "a text that the guest prints")),
        text => Ok(text),
    }
}

fn tcp(value: &DeValue<'_>) -> Result<TcpMatch, Problem> {
    const HELP: &str = "one of \"syn\", \"syn-ack\", \"fin\", \"rst\", \"data\" and \"any\"";
    match string(value)?.as_str() {
        "any" => Ok(TcpMatch::Any),
        "syn" => Ok(TcpMatch::Syn),
        "syn-ack" => Ok(TcpMatch::SynAck),
        "fin" => Ok(TcpMatch::Fin),
        "rst" => Ok(TcpMatch::Rst),
        "data" => Ok(TcpMatch::Data),
        other => Err(Problem::new(format!("{} is no kind of segment", quote(other)), HELP)),
    }
}
