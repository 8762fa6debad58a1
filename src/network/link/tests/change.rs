//! Knobs that change while the link is at work.

use super::*;

/// Offers `before`, changes the knobs at `change`, offers `after`.
fn changed(
    link: &mut Direction,
    before: impl IntoIterator<Item = (Instant, Frame)>,
    change: (Instant, LinkParameters),
    after: impl IntoIterator<Item = (Instant, Frame)>,
) -> Run {
    let (mut result, mut out) = (Run::default(), Vec::new());
    let mut number = 0;
    let mut offer = |link: &mut Direction, (now, frame): (Instant, Frame), result: &mut Run| {
        number += 1;
        let frame = Frame { id: PacketId(number), ..frame };
        advance(link, Some(now), result);
        let mut out = Vec::new();
        match link.offer(now, &frame, &mut out) {
            Verdict::Deliver(at) => result.delivered.push((at, number)),
            Verdict::Drop(reason) => result.dropped.push((now, number, reason)),
            Verdict::Taken => {}
        }
        result.take(now, &mut out);
    };
    before.into_iter().for_each(|one| offer(link, one, &mut result));
    advance(link, Some(change.0), &mut result);
    link.set_parameters(change.0, change.1, &mut out);
    result.take(change.0, &mut out);
    after.into_iter().for_each(|one| offer(link, one, &mut result));
    advance(link, None, &mut result);
    result
}

fn held(parameters: LinkParameters) -> Direction {
    let mut link = direction(parameters);
    link.hold_queue();
    link
}

#[test]
fn what_waits_leaves_at_the_new_rate() {
    let result = changed(&mut held(rate(1_000_000)), burst(4, 1000), (at_us(1500), rate(100_000)), []);
    assert_eq!(result.arrivals(), [1, 2, 12, 22].map(at_ms), "the second was on the wire");
    let unlimited = LinkParameters::default();
    let result = changed(&mut held(rate(1_000_000)), burst(4, 1000), (at_us(1500), unlimited), []);
    assert_eq!(result.arrivals(), [1, 2, 2, 2].map(at_ms));
}

#[test]
fn without_holding_what_was_answered_stands() {
    let mut link = direction(rate(1_000_000));
    let slow = rate(100_000);
    let result = changed(&mut link, burst(3, 1000), (at_us(1500), slow), [(at_ms(2), frame(1000))]);
    assert_eq!(result.arrivals(), [1, 2, 3, 13].map(at_ms));
}

#[test]
fn a_link_that_goes_down_drops_its_queue_and_delivers_its_wire() {
    let delay = Duration::from_millis(50);
    let down = LinkParameters { up: false, ..rate(1_000_000) };
    let mut link = held(LinkParameters { delay, ..rate(1_000_000) });
    let result = changed(&mut link, burst(4, 1000), (at_us(1500), down), [(at_ms(3), frame(1000))]);
    assert_eq!(result.arrivals(), [51, 52].map(at_ms));
    let down = DropReason::Down;
    assert_eq!(result.dropped, [(at_us(1500), 3, down), (at_us(1500), 4, down), (at_ms(3), 5, down)]);
}

#[test]
fn a_link_that_comes_up_begins_with_an_empty_queue() {
    let down = LinkParameters { up: false, ..rate(1_000_000) };
    let mut link = held(down);
    let result = changed(&mut link, burst(2, 1000), (at_ms(5), rate(1_000_000)), [(at_ms(5), frame(1000))]);
    assert_eq!(result.delivered, [(at_ms(6), 3)]);
}

#[test]
fn a_shorter_queue_keeps_what_it_has() {
    let queue = QueueLimits { frames_max: 1, bytes_max: None };
    let short = LinkParameters { queue, ..rate(1_000_000) };
    let mut link = held(rate(1_000_000));
    let result = changed(&mut link, burst(5, 1000), (at_us(500), short), [(at_ms(1), frame(1000))]);
    assert_eq!(result.arrivals(), [1, 2, 3, 4, 5].map(at_ms));
    assert_eq!(result.dropped(), [6]);
}

#[test]
fn a_link_that_becomes_ideal_is_ideal_once_it_is_empty() {
    let mut link = held(rate(1_000_000));
    let ideal = LinkParameters::default();
    let result = changed(&mut link, burst(2, 1000), (at_us(500), ideal.clone()), [(at_us(700), frame(10))]);
    assert_eq!(result.order(), [1, 2, 3], "nothing overtakes what is on the wire");
    assert!(!link.is_ideal());
    link.set_parameters(at_ms(9), ideal, &mut Vec::new());
    assert!(link.is_ideal());
}

#[test]
fn frames_are_numbered_on() {
    let listed = LinkParameters { script: Script::new(vec![5], vec![], vec![]), ..Default::default() };
    let mut link = direction(LinkParameters::default());
    let result = changed(
        &mut link,
        burst(3, 100),
        (at_ms(1), listed),
        stream(4, 100, Duration::from_millis(2)).map(|(at, f)| (at + Duration::from_millis(2), f)),
    );
    assert_eq!(result.dropped(), [5], "an ideal link counts too");
}

#[test]
fn loss_begins_anew_when_its_model_changes_and_only_then() {
    let every = |loss, delay_ms| LinkParameters {
        loss,
        delay: Duration::from_millis(delay_ms),
        ..Default::default()
    };
    let dropped = |to| {
        let mut link = direction(every(Loss::Every(3), 1));
        let after = (0..4).map(|_| (at_ms(2), frame(100)));
        changed(&mut link, burst(2, 100), (at_ms(1), to), after).dropped()
    };
    assert_eq!(dropped(every(Loss::Every(3), 5)), [3, 6]);
    assert_eq!(dropped(every(Loss::Every(4), 1)), [6]);
}

#[test]
fn a_queue_that_codel_kept_is_emptied_by_what_comes_after() {
    let codel = Discipline::CoDel(CoDelParameters::default());
    let mut link = direction(LinkParameters { discipline: codel, ..rate(1_000_000) });
    let after = [(at_ms(2), frame(1000)), (at_ms(9), frame(1000))];
    let result = changed(&mut link, burst(4, 1000), (at_us(1500), rate(1_000_000)), after);
    assert_eq!(result.arrivals(), [1, 2, 3, 4, 5, 10].map(at_ms));
}
