use super::*;
use crate::netem::Rng;

const TALK: u8 = 30;
const NOISE: u8 = 80;

/// A room in virtual time, with an audio packet of each member every 20 ms.
struct Scene {
    detector: SpeakerDetector,
    start: Instant,
    at: u64,
    changes: Vec<(u64, Option<ProducerId>)>,
    levels: Vec<(u64, Vec<(ProducerId, u8)>)>,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            detector: SpeakerDetector::new(SpeakerConfig::default()),
            start: Instant::now(),
            at: 0,
            changes: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// Lets `duration_ms` pass; `level(producer, ms)` is what each of `members` announces.
    fn play(&mut self, duration_ms: u64, members: &[ProducerId], level: impl Fn(u64, u64) -> u8) {
        for _ in 0..duration_ms / 10 {
            self.at += 10;
            let now = self.start + Duration::from_millis(self.at);
            for member in members.iter().filter(|_| self.at.is_multiple_of(20)) {
                self.detector.on_level(*member, level(*member, self.at), now);
            }
            if self.detector.next_timeout().is_some_and(|due| due <= now) {
                let update = self.detector.poll(now);
                if let Some(speaker) = update.speaker {
                    self.changes.push((self.at, speaker));
                }
                if !update.levels.is_empty() {
                    self.levels.push((self.at, update.levels.to_vec()));
                }
            }
        }
    }

    fn speakers(&self) -> Vec<Option<ProducerId>> {
        self.changes.iter().map(|(_, speaker)| *speaker).collect()
    }
}

#[test]
fn the_first_to_speak_is_found_within_150_ms() {
    let mut scene = Scene::new();
    scene.play(2_000, &[1, 2], |_, _| NOISE);
    assert_eq!(scene.changes, []);
    scene.play(1_000, &[1, 2], |member, _| if member == 2 { TALK } else { NOISE });
    assert_eq!(scene.speakers(), [Some(2)]);
    assert!(scene.changes[0].0 <= 2_150, "{:?}", scene.changes);
}

#[test]
fn pauses_between_words_do_not_change_the_speaker() {
    let mut scene = Scene::new();
    // Words of 300 ms, pauses of 200 ms.
    scene.play(20_000, &[1, 2], |member, at| match member {
        1 if at % 500 < 300 => TALK,
        _ => NOISE,
    });
    assert_eq!(scene.speakers(), [Some(1)]);
}

#[test]
fn a_short_remark_does_not_take_over_but_a_long_one_does() {
    let mut scene = Scene::new();
    scene.play(2_000, &[1, 2], |member, _| if member == 1 { TALK } else { NOISE });
    scene.play(300, &[1, 2], |member, _| if member == 1 { TALK } else { 10 });
    scene.play(1_500, &[1, 2], |member, _| if member == 1 { TALK } else { NOISE });
    assert_eq!(scene.speakers(), [Some(1)]);
    let from = scene.at;
    scene.play(2_000, &[1, 2], |member, _| if member == 1 { TALK } else { 10 });
    assert_eq!(scene.speakers(), [Some(1), Some(2)]);
    let delay = scene.changes[1].0 - from;
    assert!((700..=900).contains(&delay), "{delay} ms");
}

#[test]
fn when_the_speaker_stops_the_next_follows_within_a_second() {
    let mut scene = Scene::new();
    scene.play(2_000, &[1, 2], |member, _| if member == 1 { TALK } else { NOISE });
    let from = scene.at;
    scene.play(2_000, &[1, 2], |member, _| if member == 2 { TALK } else { NOISE });
    assert_eq!(scene.speakers(), [Some(1), Some(2)]);
    let delay = scene.changes[1].0 - from;
    assert!((300..=1_000).contains(&delay), "{delay} ms");
}

#[test]
fn silence_ends_with_no_speaker_after_about_a_second_and_a_half() {
    let mut scene = Scene::new();
    scene.play(2_000, &[1, 2], |member, _| if member == 1 { TALK } else { NOISE });
    let from = scene.at;
    scene.play(5_000, &[1, 2], |_, _| NOISE);
    assert_eq!(scene.speakers(), [Some(1), None]);
    let delay = scene.changes[1].0 - from;
    assert!((1_500..=2_000).contains(&delay), "{delay} ms");
}

#[test]
fn two_equally_loud_voices_do_not_flap() {
    for seed in 0..20 {
        let mut scene = Scene::new();
        let jitter = |member: u64, at: u64| {
            let mut rng = Rng::new(seed << 40 ^ member << 20 ^ at);
            25 + rng.below(12) as u8
        };
        scene.play(30_000, &[1, 2], jitter);
        assert_eq!(scene.changes.len(), 1, "{:?}", scene.changes);
    }
}

#[test]
fn changes_are_at_least_300_ms_apart_whatever_comes() {
    for seed in 0..40 {
        let mut scene = Scene::new();
        // Each member talks or not in random pieces of 160 ms.
        let noise = |member: u64, at: u64| {
            let mut rng = Rng::new(seed << 40 ^ member << 20 ^ (at / 160));
            if rng.chance(0.4) { 20 + rng.below(30) as u8 } else { 70 + rng.below(50) as u8 }
        };
        scene.play(30_000, &[1, 2, 3, 4], noise);
        for pair in scene.changes.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 300, "{:?}", scene.changes);
        }
    }
}

#[test]
fn levels_come_at_most_every_200_ms_and_only_where_they_changed() {
    let mut scene = Scene::new();
    scene.play(3_000, &[1, 2], |member, _| if member == 1 { 40 } else { NOISE });
    assert!(scene.levels.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 200));
    let last_of = |member| {
        let mut all = scene.levels.iter().flat_map(|(_, levels)| levels);
        all.rfind(|(producer, _)| *producer == member).unwrap().1
    };
    assert!(last_of(1).abs_diff(40) <= 2 && last_of(2).abs_diff(NOISE) <= 2);
    let settled = scene.levels.iter().filter(|(at, _)| *at > 1_000);
    assert_eq!(settled.count(), 0, "{:?}", scene.levels);
}

#[test]
fn a_member_without_packets_fades_to_silence_and_the_room_rests() {
    let mut scene = Scene::new();
    scene.play(1_000, &[1], |_, _| 40);
    assert_eq!(scene.detector.speaker(), Some(1));
    scene.play(6_000, &[], |_, _| 0);
    assert_eq!(scene.levels.last().unwrap().1, [(1, SILENCE)]);
    assert_eq!(scene.speakers(), [Some(1), None]);
    assert_eq!(scene.detector.next_timeout(), None);
    scene.play(500, &[1], |_, _| 40);
    assert_eq!(scene.detector.speaker(), Some(1), "it wakes up again");
}

#[test]
fn a_speaker_who_leaves_is_gone_at_once() {
    let mut scene = Scene::new();
    scene.play(1_000, &[1], |_, _| 40);
    scene.detector.remove(1);
    let now = scene.start + Duration::from_millis(scene.at + 1);
    assert_eq!(scene.detector.poll(now).speaker, Some(None));
    assert_eq!(scene.detector.poll(now).speaker, None);
    scene.detector.remove(77);
}

#[test]
fn producers_beyond_the_bound_are_ignored_and_counted() {
    let config = SpeakerConfig { max_producers: 3, ..Default::default() };
    let mut detector = SpeakerDetector::new(config);
    let now = Instant::now();
    for producer in [9, 3, 7, 5, 1, 3] {
        detector.on_level(producer, 255, now);
    }
    assert_eq!(detector.ignored(), 2);
    assert!(detector.meters.is_sorted_by_key(|meter| meter.producer));
}

#[test]
fn many_rooms_share_their_summaries() {
    let ms = |rooms| summary_interval(rooms).as_millis();
    let table = [(0, 200), (1, 200), (80, 200), (81, 202), (300, 750), (4_000, 10_000)];
    for (rooms, expected) in table {
        assert_eq!(ms(rooms), expected, "{rooms}");
    }
    assert!(ms(usize::MAX) >= 10_000);
}

#[test]
fn rarer_summaries_lose_no_change() {
    let start = Instant::now();
    let mut detector = SpeakerDetector::new(SpeakerConfig::default());
    detector.set_summary_interval(summary_interval(300));
    let (mut told, mut at) = (Vec::new(), Vec::new());
    for step in 0..400 {
        let now = start + Duration::from_millis(step * 20);
        if step < 150 {
            detector.on_level(1, 20 + (step / 10 % 5) as u8 * 8, now);
        }
        let update = detector.poll(now);
        if !update.levels.is_empty() {
            told.push(update.levels[0].1);
            at.push(now);
        }
    }
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(700)), "{at:?}");
    assert!(told.len() >= 4 && told[0] < 60, "{told:?}");
    assert_eq!(told.last(), Some(&SILENCE), "the end is told");
}
