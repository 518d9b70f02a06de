//! Video on its way to one subscriber over a lossy path: what is sent again, and when.
//!
//! A packet is a flight from when it is sent until a copy is known to have arrived, it is too old,
//! or a newer keyframe makes it worthless. Copies go at once (see
//! [`protect::video`](crate::protect::video)), and again as soon as transport-wide feedback says
//! that all of them were lost. That goes on where browsers have stopped asking: Chromium gives up
//! after ten requests.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::protect::video::Weight;
use crate::rtp::SeqNo;
use crate::table::Key;
use crate::voice::{Fate, Fates};

/// Packets followed at a time; the oldest are given up.
const MAX_FLIGHTS: usize = 1_024;
/// Sent packets whose fate is awaited; the oldest stay unknown.
const MAX_AWAITED: usize = 4_096;
/// Browsers wait three seconds for a picture before they ask for a keyframe; by then a packet has
/// to have gone through.
const DEADLINE: Duration = Duration::from_millis(2_500);
/// A picture nothing depends on is shown in its turn or not at all.
const DEADLINE_OF_REST: Duration = Duration::from_millis(600);
/// A keyframe is being repaired for so long; then another may do better.
const REPAIR_TIME: Duration = Duration::from_millis(800);
/// What the budget does not allow now is tried again after this.
pub(crate) const POSTPONED: Duration = Duration::from_millis(20);

/// What is sent in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// Copies of each [`Weight`] beyond the first packet.
    pub(crate) copies: [u8; Weight::ALL.len()],
    /// Time between them.
    pub(crate) gap: Duration,
}

/// A packet that may have to be sent again.
#[derive(Debug, Clone, Copy)]
struct Flight {
    consumer: Key,
    number: SeqNo,
    weight: Weight,
    /// Of the picture, where the packet was sent for the first time.
    timestamp: Option<u32>,
    since: Instant,
    /// When it was sent last.
    sent: Instant,
    /// Sent, and not known whether lost.
    under_way: u16,
    /// Copies still to be sent in this round.
    planned: u8,
    /// It has an entry among what is due.
    is_due: bool,
    /// It needs nothing more.
    is_over: bool,
}

impl Flight {
    fn is_open(&self, now: Instant) -> bool {
        let deadline = if self.weight == Weight::Rest { DEADLINE_OF_REST } else { DEADLINE };
        !self.is_over && now < self.since + deadline
    }

    fn end(&mut self) {
        (self.is_over, self.planned) = (true, 0);
    }
}

/// A copy that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Of the flight.
    pub(crate) id: u64,
    pub(crate) consumer: Key,
    pub(crate) number: SeqNo,
}

/// The flights of one transport. Bounded: see the constants above, 200 KiB at most.
#[derive(Debug, Default)]
pub(crate) struct Echoes {
    plan: Plan,
    flights: VecDeque<Flight>,
    /// Of the oldest flight; none is zero.
    first: u64,
    /// Transport-wide numbers of what was sent, with its flight.
    awaited: VecDeque<(SeqNo, u64)>,
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Nothing goes before.
    held: Option<Instant>,
    given_up: u64,
    /// Subscriptions whose keyframe was hurried, and when.
    hurried: Vec<(Key, Instant)>,
}

impl Echoes {
    /// Starts with nothing under way.
    pub(crate) fn new(plan: Plan) -> Echoes {
        Echoes { plan, first: 1, ..Echoes::default() }
    }

    /// Sets what is sent in the rounds to come.
    pub(crate) fn set_plan(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// A packet of the picture of `timestamp` is about to be sent for the first time. Returns the
    /// flight's id.
    pub(crate) fn begin(
        &mut self,
        consumer: Key,
        number: SeqNo,
        weight: Weight,
        timestamp: u32,
        now: Instant,
    ) -> u64 {
        self.add(consumer, number, weight, Some(timestamp), now)
    }

    fn add(
        &mut self,
        consumer: Key,
        number: SeqNo,
        weight: Weight,
        timestamp: Option<u32>,
        now: Instant,
    ) -> u64 {
        if self.flights.len() == MAX_FLIGHTS {
            self.pop_flight();
        }
        let id = self.first + self.flights.len() as u64;
        let planned = self.plan.copies[weight as usize];
        self.flights.push_back(Flight {
            consumer,
            number,
            weight,
            timestamp,
            since: now,
            sent: now,
            under_way: 0,
            planned,
            is_due: false,
            is_over: false,
        });
        id
    }

    /// A packet of a flight was sent, with a transport-wide number if there is feedback about it.
    /// What is planned follows it.
    pub(crate) fn on_sent(&mut self, id: u64, number: Option<SeqNo>, now: Instant) {
        let at = now + self.plan.gap;
        let Some(flight) = self.get(id) else { return };
        flight.sent = now;
        let is_planned = flight.planned > 0;
        if number.is_some() {
            flight.under_way = flight.under_way.saturating_add(1);
        }
        if is_planned {
            self.schedule(id, at);
        }
        let Some(number) = number else { return };
        if self.awaited.len() == MAX_AWAITED {
            self.awaited.pop_front();
        }
        self.awaited.push_back((number, id));
    }

    /// The next copy that is due. Say with [`Echoes::on_sent`] that it went.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Due> {
        if self.held.is_some_and(|until| now < until) {
            return None;
        }
        self.held = None;
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                return None;
            }
            self.due.pop();
            let Some(flight) = self.get(id) else { continue };
            flight.is_due = false;
            if flight.planned == 0 || !flight.is_open(now) {
                flight.planned = 0;
                continue;
            }
            flight.planned -= 1;
            return Some(Due { id, consumer: flight.consumer, number: flight.number });
        }
        None
    }

    /// Nothing of all that is due can be sent before `until`.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.held = Some(until);
    }

    /// What was due cannot be sent now.
    pub(crate) fn postpone(&mut self, due: Due, now: Instant) {
        let Some(flight) = self.get(due.id).filter(|flight| flight.is_open(now)) else { return };
        flight.planned += 1;
        self.schedule(due.id, now + POSTPONED);
    }

    /// There was no room for a packet of a flight: a copy takes its place, later.
    pub(crate) fn defer(&mut self, id: u64, now: Instant) {
        let Some(flight) = self.get(id).filter(|flight| flight.is_open(now)) else { return };
        flight.planned = flight.planned.saturating_add(1);
        self.schedule(id, now + POSTPONED);
    }

    fn schedule(&mut self, id: u64, at: Instant) {
        if let Some(flight) = self.get(id)
            && !std::mem::replace(&mut flight.is_due, true)
        {
            self.due.push(Reverse((at, id)));
        }
    }

    /// What was due is not there any more.
    pub(crate) fn forget(&mut self, id: u64) {
        if let Some(flight) = self.get(id) {
            flight.end();
        }
    }

    /// The subscriber asked for a packet, which is about to be sent again: so are copies of it.
    /// Returns the flight.
    pub(crate) fn ask(&mut self, consumer: Key, number: SeqNo, now: Instant) -> u64 {
        let is_it = |flight: &Flight| flight.consumer == consumer && flight.number == number;
        let found = self.flights.iter().rposition(is_it);
        let Some(index) = found else { return self.add(consumer, number, Weight::Base, None, now) };
        let id = self.first + index as u64;
        let flight = &mut self.flights[index];
        // Feedback about another packet with this number, or a feedback that was wrong.
        flight.is_over = false;
        if flight.planned == 0 {
            flight.planned = self.plan.copies[flight.weight as usize];
        }
        id
    }

    /// The subscriber asks for a keyframe. If one is on its way to it, what is missing of it and
    /// since is sent again at once instead, once in the time `every`; returns whether that is so.
    pub(crate) fn hurry(&mut self, consumer: Key, every: Duration, now: Instant) -> bool {
        let is_new = |flight: &&Flight| {
            flight.consumer == consumer
                && flight.weight == Weight::Keyframe
                && now < flight.since + REPAIR_TIME
        };
        if !self.flights.iter().any(|flight| is_new(&flight) && flight.is_open(now)) {
            return false;
        }
        self.hurried.retain(|(_, at)| now < *at + every);
        if self.hurried.iter().any(|(hurried, _)| *hurried == consumer) {
            return true;
        }
        self.hurried.push((consumer, now));
        let (first, copies) = (self.first, self.plan.copies);
        for (index, flight) in self.flights.iter_mut().enumerate() {
            if flight.consumer == consumer && flight.is_open(now) && flight.planned == 0 {
                flight.planned = copies[flight.weight as usize] + 1;
                if std::mem::replace(&mut flight.is_due, true) {
                    continue;
                }
                self.due.push(Reverse((now, first + index as u64)));
            }
        }
        true
    }

    /// What came before this packet of a subscription is of no use any more: a keyframe begins.
    /// Several packets may say so for one picture, whose parameter sets come first.
    pub(crate) fn on_keyframe(&mut self, consumer: Key, number: SeqNo, timestamp: u32) {
        let is_before = |flight: &&mut Flight| {
            flight.consumer == consumer
                && flight.timestamp != Some(timestamp)
                && number.is_newer_than(flight.number)
        };
        self.flights.iter_mut().filter(is_before).for_each(Flight::end);
    }

    /// Takes over what feedback says of sent packets.
    pub(crate) fn on_fates(&mut self, fates: &Fates, round_trip: Duration, now: Instant) {
        while let Some((number, id)) = self.awaited.front().copied() {
            let fate = fates.of(number);
            if fate == Fate::Later {
                break;
            }
            self.awaited.pop_front();
            match fate {
                Fate::Arrived => self.forget(id),
                Fate::Lost => self.on_lost(id, now),
                Fate::Unknown => self.on_unknown(id, round_trip, now),
                Fate::Later => {}
            }
        }
        self.trim(now);
    }

    fn on_lost(&mut self, id: u64, now: Instant) {
        let copies = self.plan.copies;
        let Some(flight) = self.get(id) else { return };
        flight.under_way = flight.under_way.saturating_sub(1);
        let comes = flight.is_due && flight.planned > 0;
        if flight.under_way > 0 || comes || !flight.is_open(now) {
            return;
        }
        flight.planned = copies[flight.weight as usize] + 1;
        self.schedule(id, now);
    }

    /// Whether a packet arrived is not known and will not be: the feedback was lost. If it was the
    /// last, one copy tries again when a request would have been answered. Most have arrived.
    fn on_unknown(&mut self, id: u64, round_trip: Duration, now: Instant) {
        let Some(flight) = self.get(id) else { return };
        flight.under_way = flight.under_way.saturating_sub(1);
        if flight.under_way > 0 || flight.planned > 0 || !flight.is_open(now) {
            return;
        }
        flight.planned = 1;
        let at = now.max(flight.sent + round_trip * 3 / 2);
        self.schedule(id, at);
    }

    /// When [`Echoes::pop`] has something; may lie in the past.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let Reverse((at, _)) = self.due.peek()?;
        Some(self.held.map_or(*at, |until| until.max(*at)))
    }

    /// Packets given up because too many were under way, since this was asked last.
    pub(crate) fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    /// Bytes on the heap.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.flights.capacity() * size_of::<Flight>()
            + self.awaited.capacity() * size_of::<(SeqNo, u64)>()
            + self.due.capacity() * size_of::<Reverse<(Instant, u64)>>()
            + self.hurried.capacity() * size_of::<(Key, Instant)>()
    }

    fn get(&mut self, id: u64) -> Option<&mut Flight> {
        self.flights.get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    fn pop_flight(&mut self) {
        if let Some(flight) = self.flights.pop_front() {
            self.first += 1;
            self.given_up += u64::from(!flight.is_over && flight.weight != Weight::Rest);
        }
    }

    /// Removes what is over from the old end.
    fn trim(&mut self, now: Instant) {
        while self.flights.front().is_some_and(|flight| !flight.is_open(now)) {
            self.flights.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{RtcpPacket, TwccWriter, parse};
    use crate::table::Slab;

    const GAP: Duration = Duration::from_millis(10);
    const RTT: Duration = Duration::from_millis(40);

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn echoes(copies: u8) -> Echoes {
        Echoes::new(Plan { copies: [copies * 2, copies, 0], gap: GAP })
    }

    fn consumer() -> Key {
        Slab::default().insert(())
    }

    /// Feedback about `base` and what follows it.
    fn fates(base: u16, arrived: &[bool]) -> Fates {
        let times: Vec<Option<Duration>> =
            arrived.iter().map(|arrived| arrived.then_some(ms(1))).collect();
        let mut out = Vec::new();
        TwccWriter::default().write(&mut out, 1, 2, SeqNo(base), &times);
        let mut fates = Fates::default();
        for packet in parse(&out) {
            let Ok(RtcpPacket::TransportFeedback(feedback)) = packet else { panic!("feedback") };
            fates.read(&feedback);
        }
        fates
    }

    /// Sends all that is due, without feedback.
    fn drain(echoes: &mut Echoes, now: Instant) -> Vec<u16> {
        let mut numbers = Vec::new();
        while let Some(due) = echoes.pop(now) {
            echoes.on_sent(due.id, None, now);
            numbers.push(due.number.0);
        }
        numbers
    }

    /// A packet of a picture of its own begins and leaves at once.
    fn send(echoes: &mut Echoes, key: Key, number: u16, weight: Weight, now: Instant) -> u64 {
        let id = echoes.begin(key, SeqNo(number), weight, number.into(), now);
        echoes.on_sent(id, None, now);
        id
    }

    #[test]
    fn copies_go_one_by_one() {
        let start = Instant::now();
        let mut echoes = echoes(2);
        let key = consumer();
        send(&mut echoes, key, 7, Weight::Base, start);
        send(&mut echoes, key, 8, Weight::Rest, start);
        let sent: Vec<Vec<u16>> =
            (0..5).map(|step| drain(&mut echoes, start + GAP * step)).collect();
        assert_eq!(sent, [vec![], vec![7], vec![7], vec![], vec![]]);
    }

    #[test]
    fn what_arrived_is_not_sent_again_and_what_was_lost_is() {
        let start = Instant::now();
        let mut echoes = echoes(1);
        let key = consumer();
        for number in 0..2 {
            let id = send(&mut echoes, key, number, Weight::Base, start);
            echoes.on_sent(id, Some(SeqNo(65_535).add(number)), start);
        }
        echoes.on_fates(&fates(65_535, &[false, true]), RTT, start + ms(5));
        assert_eq!(drain(&mut echoes, start + GAP), [0], "the copy that was planned");
        echoes.on_sent(1, Some(SeqNo(1)), start);
        assert_eq!(drain(&mut echoes, start + ms(60)), []);
        echoes.on_fates(&fates(1, &[false, true]), RTT, start + ms(61));
        assert_eq!(drain(&mut echoes, start + ms(61)), [0], "and another round");
        assert_eq!(drain(&mut echoes, start + ms(71)), [0]);
        assert_eq!(drain(&mut echoes, start + ms(500)), []);
    }

    #[test]
    fn one_of_several_that_is_lost_waits_for_the_others() {
        let start = Instant::now();
        let mut echoes = echoes(1);
        let id = send(&mut echoes, consumer(), 9, Weight::Base, start);
        echoes.on_sent(id, Some(SeqNo(1)), start);
        assert_eq!(drain(&mut echoes, start + GAP), [9]);
        echoes.on_sent(id, Some(SeqNo(3)), start);
        echoes.on_fates(&fates(1, &[false, true]), RTT, start + ms(50));
        assert_eq!(drain(&mut echoes, start + ms(50)), []);
        echoes.on_fates(&fates(3, &[false, true]), RTT, start + ms(60));
        assert_eq!(drain(&mut echoes, start + ms(60)), [9]);
    }

    #[test]
    fn it_ends_at_the_deadline_and_with_a_keyframe() {
        let start = Instant::now();
        let key = consumer();
        for (weight, deadline) in [(Weight::Base, DEADLINE), (Weight::Rest, DEADLINE_OF_REST)] {
            for (at, expected) in [(deadline - ms(1), 1), (deadline, 0)] {
                let mut echoes = echoes(0);
                let id = send(&mut echoes, key, 9, weight, start);
                echoes.on_sent(id, Some(SeqNo(1)), start);
                echoes.on_fates(&fates(1, &[false, true]), RTT, start + at);
                assert_eq!(drain(&mut echoes, start + at).len(), expected, "{weight:?} {at:?}");
            }
        }
        let mut echoes = echoes(1);
        for number in [65_534, 65_535, 0] {
            send(&mut echoes, key, number, Weight::Base, start);
        }
        echoes.on_keyframe(key, SeqNo(0), 0);
        assert_eq!(drain(&mut echoes, start + GAP), [0]);
    }

    #[test]
    fn a_request_for_a_keyframe_hurries_the_one_on_its_way() {
        let start = Instant::now();
        let key = consumer();
        let mut echoes = echoes(0);
        let every = ms(50);
        assert!(!echoes.hurry(key, every, start), "there is none");
        send(&mut echoes, key, 1, Weight::Keyframe, start);
        let arrived = send(&mut echoes, key, 2, Weight::Keyframe, start);
        send(&mut echoes, key, 3, Weight::Base, start + ms(40));
        echoes.forget(arrived);
        assert!(echoes.hurry(key, every, start + ms(200)));
        assert_eq!(drain(&mut echoes, start + ms(200)), [1, 3]);
        assert!(echoes.hurry(key, every, start + ms(249)), "it is being repaired");
        assert_eq!(drain(&mut echoes, start + ms(249)), []);
        assert!(echoes.hurry(key, every, start + ms(250)));
        assert_eq!(drain(&mut echoes, start + ms(250)), [1, 3]);
        assert!(!echoes.hurry(key, every, start + REPAIR_TIME), "another may do better");
        echoes.forget(1);
        assert!(!echoes.hurry(key, every, start + ms(350)), "it is there");
    }

    #[test]
    fn requests_are_answered_with_copies_but_not_twice() {
        let start = Instant::now();
        let mut echoes = echoes(2);
        let key = consumer();
        let id = send(&mut echoes, key, 9, Weight::Base, start);
        assert_eq!(echoes.ask(key, SeqNo(9), start), id, "copies are planned already");
        assert_eq!(drain(&mut echoes, start + ms(30)).len(), 1);
        assert_eq!(drain(&mut echoes, start + ms(60)).len(), 1);
        assert_eq!(echoes.ask(key, SeqNo(9), start + ms(100)), id);
        echoes.on_sent(id, None, start + ms(100));
        assert_eq!(drain(&mut echoes, start + ms(110)).len(), 1);
        let unknown = echoes.ask(key, SeqNo(500), start + ms(100));
        assert_eq!(unknown, id + 1);
        echoes.on_sent(unknown, None, start + ms(100));
        assert_eq!(drain(&mut echoes, start + ms(120)), [500, 9]);
    }

    #[test]
    fn what_is_postponed_comes_back_once() {
        let start = Instant::now();
        let mut echoes = echoes(1);
        send(&mut echoes, consumer(), 9, Weight::Base, start);
        let due = echoes.pop(start + GAP).unwrap();
        echoes.postpone(due, start + GAP);
        assert_eq!(drain(&mut echoes, start + GAP), []);
        assert_eq!(drain(&mut echoes, start + GAP + POSTPONED), [9]);
        assert_eq!(drain(&mut echoes, start + ms(500)), []);
    }

    #[test]
    fn memory_is_bounded_and_what_is_given_up_counted() {
        let start = Instant::now();
        let mut echoes = echoes(9);
        let key = consumer();
        for number in 0..50_000_u32 {
            let id = send(&mut echoes, key, number as u16, Weight::Base, start);
            echoes.on_sent(id, Some(SeqNo(number as u16)), start);
        }
        assert_eq!(echoes.take_given_up(), 50_000 - MAX_FLIGHTS as u64);
        assert_eq!(echoes.take_given_up(), 0);
        while echoes.pop(start + ms(100)).is_some() {}
        let bytes = echoes.flights.len() * size_of::<Flight>() + echoes.awaited.len() * 16;
        assert!(bytes <= 200 * 1_024, "{bytes}");
    }

    #[test]
    fn copies_follow_the_packet_when_it_leaves() {
        let start = Instant::now();
        let mut echoes = echoes(1);
        let id = echoes.begin(consumer(), SeqNo(9), Weight::Base, 0, start);
        assert_eq!(drain(&mut echoes, start + ms(200)), [], "it still waits");
        echoes.on_sent(id, Some(SeqNo(1)), start + ms(200));
        assert_eq!(drain(&mut echoes, start + ms(209)), []);
        assert_eq!(drain(&mut echoes, start + ms(210)), [9]);
    }

    #[test]
    fn what_there_was_no_room_for_goes_as_a_copy() {
        let start = Instant::now();
        let mut echoes = echoes(1);
        let id = echoes.begin(consumer(), SeqNo(9), Weight::Base, 0, start);
        echoes.defer(id, start);
        echoes.defer(0, start);
        assert_eq!(drain(&mut echoes, start + POSTPONED), [9]);
        assert_eq!(drain(&mut echoes, start + POSTPONED + GAP), [9]);
        assert_eq!(drain(&mut echoes, start + ms(500)), []);
    }

    #[test]
    fn all_is_held_at_once() {
        let start = Instant::now();
        let mut echoes = echoes(1);
        let key = consumer();
        for number in 0..3 {
            send(&mut echoes, key, number, Weight::Base, start);
        }
        echoes.hold(start + ms(30));
        assert_eq!(echoes.next_timeout(), Some(start + ms(30)));
        assert_eq!(drain(&mut echoes, start + ms(29)), []);
        assert_eq!(drain(&mut echoes, start + ms(30)).len(), 3);
        assert_eq!(echoes.next_timeout(), None);
    }

    #[test]
    fn what_no_feedback_tells_of_is_taken_for_lost_in_time() {
        let start = Instant::now();
        let mut echoes = echoes(0);
        let id = send(&mut echoes, consumer(), 9, Weight::Base, start);
        echoes.on_sent(id, Some(SeqNo(1)), start);
        echoes.on_sent(id, Some(SeqNo(2)), start + ms(10));
        // The feedback about the first was lost.
        echoes.on_fates(&fates(2, &[false, true]), RTT, start + ms(41));
        assert_eq!(drain(&mut echoes, start + ms(41)), [9], "no more is under way");
        echoes.on_sent(id, Some(SeqNo(4)), start + ms(41));
        echoes.on_fates(&fates(5, &[true, true]), RTT, start + ms(82));
        assert_eq!(drain(&mut echoes, start + ms(100)), [], "it may be asked for");
        assert_eq!(drain(&mut echoes, start + ms(101)), [9]);
    }

    #[test]
    fn what_is_asked_for_after_it_seemed_to_arrive_is_followed_again() {
        let start = Instant::now();
        let mut echoes = echoes(2);
        let key = consumer();
        for ends in [Echoes::forget, |echoes: &mut Echoes, _| {
            echoes.on_keyframe(consumer(), SeqNo(10), 77);
        }] {
            let id = send(&mut echoes, key, 9, Weight::Base, start);
            ends(&mut echoes, id);
            assert_eq!(drain(&mut echoes, start + ms(50)), []);
            assert_eq!(echoes.ask(key, SeqNo(9), start + ms(100)), id);
            echoes.on_sent(id, Some(SeqNo(2)), start + ms(100));
            assert_eq!(drain(&mut echoes, start + ms(110)), [9], "copies of the answer");
            assert_eq!(drain(&mut echoes, start + ms(120)), [9]);
            assert_eq!(drain(&mut echoes, start + ms(130)), []);
        }
    }

    #[test]
    fn parameter_sets_belong_to_their_keyframe() {
        let start = Instant::now();
        let mut echoes = echoes(1);
        let key = consumer();
        send(&mut echoes, key, 1, Weight::Base, start);
        for number in 2..5 {
            echoes.on_keyframe(key, SeqNo(number), 77);
            let id = echoes.begin(key, SeqNo(number), Weight::Keyframe, 77, start);
            echoes.on_sent(id, None, start);
        }
        assert_eq!(drain(&mut echoes, start + GAP), [2, 3, 4]);
        echoes.on_keyframe(key, SeqNo(5), 78);
        assert_eq!(drain(&mut echoes, start + GAP * 2), []);
    }
}
