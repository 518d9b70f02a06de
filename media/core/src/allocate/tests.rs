use super::*;
use crate::netem::Rng;

type Scene = Vec<(MediaKind, u8, Vec<Rung>, Option<Layer>, bool)>;

const K: u64 = 1_000;

fn rung(spatial: u8, temporal: u8, bps: u64) -> Rung {
    Rung { layer: Layer { spatial, temporal }, bps }
}

fn camera() -> Vec<Rung> {
    vec![rung(0, 0, 60 * K), rung(0, 1, 100 * K), rung(1, 1, 400 * K), rung(2, 1, 1_500 * K)]
}

fn video(priority: u8, ladder: &[Rung]) -> Track<'_> {
    Track { kind: MediaKind::Video, priority, ladder, current: None, may_rise: true }
}

fn audio(ladder: &[Rung]) -> Track<'_> {
    Track { kind: MediaKind::Audio, ..video(0, ladder) }
}

fn run(tracks: &[Track<'_>], budget_bps: u64) -> Vec<Option<usize>> {
    let mut chosen = Vec::new();
    allocate(tracks, budget_bps, &mut chosen);
    chosen
}

fn cost(track: &Track<'_>, choice: Option<usize>) -> u64 {
    choice.map_or(0, |index| track.ladder[index].bps)
}

#[test]
fn one_face_gets_what_fits_after_audio() {
    let (voice, face) = ([rung(0, 0, 40 * K)], camera());
    let table = [
        (0, None),
        (39 * K, None),
        (100 * K, None),
        (110 * K, Some(0)),
        (153 * K, Some(0)),
        (154 * K, Some(1)),
        (484 * K, Some(2)),
        (1_693 * K, Some(2)),
        (1_694 * K, Some(3)),
        (u64::MAX, Some(3)),
    ];
    for (budget, expected) in table {
        let chosen = run(&[audio(&voice), video(0, &face)], budget);
        assert_eq!(chosen, [Some(0), expected], "{budget}");
    }
}

#[test]
fn everyone_of_a_class_gets_the_lowest_layer_before_anyone_gets_more() {
    let face = camera();
    let four = [video(0, &face), video(0, &face), video(0, &face), video(0, &face)];
    let table = [
        (200 * K, [Some(0), Some(0), Some(0), None]),
        (270 * K, [Some(0); 4]),
        (352 * K, [Some(1), Some(1), Some(0), Some(0)]),
        (440 * K, [Some(1); 4]),
        (770 * K, [Some(2), Some(1), Some(1), Some(1)]),
        (1_760 * K, [Some(2); 4]),
        (6_600 * K, [Some(3); 4]),
    ];
    for (budget, expected) in table {
        assert_eq!(run(&four, budget), expected, "{budget}");
    }
}

#[test]
fn better_classes_come_first_and_leave_the_rest_to_others() {
    let (face, slides) = (camera(), [rung(0, 0, 300 * K)]);
    let tracks = [video(2, &slides), video(0, &face)];
    let table = [
        (300 * K, [None, Some(1)]),
        (440 * K, [None, Some(2)]),
        // The face cannot rise, so the slides get what is left.
        (770 * K, [Some(0), Some(2)]),
        (1_660 * K, [None, Some(3)]),
        (1_980 * K, [Some(0), Some(3)]),
    ];
    for (budget, expected) in table {
        assert_eq!(run(&tracks, budget), expected, "{budget}");
    }
    let slides_first = [video(0, &slides), video(1, &face)];
    assert_eq!(run(&slides_first, 440 * K), [Some(0), Some(1)]);
}

#[test]
fn a_layer_is_kept_where_it_would_not_be_chosen_anew() {
    let face = camera();
    let new = video(0, &face);
    let kept = Track { current: Some(Layer { spatial: 1, temporal: 1 }), ..new };
    let held = Track { current: Some(Layer { spatial: 0, temporal: 1 }), may_rise: false, ..new };
    for (budget, expected) in [(420 * K, [1, 2, 1]), (440 * K, [2, 2, 1]), (399 * K, [1, 1, 1])] {
        for (track, expected) in [new, kept, held].iter().zip(expected) {
            assert_eq!(run(&[*track], budget), [Some(expected)], "{budget}");
        }
    }
    let stopped = Track { may_rise: false, ..new };
    assert_eq!(run(&[stopped], u64::MAX), [None]);
}

#[test]
fn pruning_leaves_rising_costs() {
    let mut ladder =
        vec![rung(0, 0, 100), rung(0, 1, 300), rung(1, 0, 200), rung(1, 1, 200), rung(2, 0, 500)];
    prune(&mut ladder);
    assert_eq!(ladder, [rung(0, 0, 100), rung(1, 1, 200), rung(2, 0, 500)]);
}

/// Random tracks; returns their ladders with what else they are.
fn scene(rng: &mut Rng) -> Scene {
    let count = 1 + rng.below(9);
    let any = |rng: &mut Rng| Layer { spatial: rng.below(4) as u8, temporal: rng.below(3) as u8 };
    (0..count)
        .map(|_| {
            let kind = if rng.chance(0.2) { MediaKind::Audio } else { MediaKind::Video };
            let mut ladder = Vec::new();
            let mut bps = 0;
            for spatial in 0..rng.below(4) as u8 {
                for temporal in 0..1 + rng.below(3) as u8 {
                    bps += 1 + rng.below(500 * K);
                    ladder.push(rung(spatial, temporal, bps));
                }
            }
            let current = rng.chance(0.5).then(|| any(rng));
            (kind, rng.below(4) as u8, ladder, current, rng.chance(0.8))
        })
        .collect()
}

#[test]
fn random_scenes_keep_the_rules() {
    let mut rng = Rng::new(11);
    let (mut full, mut partial) = (0, 0);
    for _ in 0..20_000 {
        let scene = scene(&mut rng);
        let tracks: Vec<Track<'_>> = scene
            .iter()
            .map(|(kind, priority, ladder, current, may_rise)| Track {
                kind: *kind,
                priority: *priority,
                ladder,
                current: *current,
                may_rise: *may_rise,
            })
            .collect();
        let least = rng.below(4_000 * K);
        let most = least + rng.below(2_000 * K);
        let (low, high) = (run(&tracks, least), run(&tracks, most));
        let costs = |chosen: &[Option<usize>], kind: MediaKind| -> u64 {
            let of_kind = tracks.iter().zip(chosen).filter(|(track, _)| track.kind == kind);
            of_kind.map(|(track, choice)| cost(track, *choice)).sum()
        };
        for (budget, chosen) in [(least, &low), (most, &high)] {
            let (voices, pictures) =
                (costs(chosen, MediaKind::Audio), costs(chosen, MediaKind::Video));
            assert!(pictures == 0 || voices + pictures <= budget, "{tracks:?}");
            for (track, choice) in tracks.iter().zip(chosen) {
                let is_top = *choice == track.ladder.len().checked_sub(1);
                assert!(track.kind == MediaKind::Video || is_top);
                let layer = choice.map(|index| track.ladder[index].layer);
                let is_voice = track.kind == MediaKind::Audio;
                assert!(track.may_rise || is_voice || layer <= track.current.max(None));
                full += u32::from(is_top);
                partial += u32::from(!is_top);
            }
            assert_priorities(&tracks, chosen, budget, voices + pictures);
        }
        for (index, track) in tracks.iter().enumerate() {
            let is_compensated = tracks.iter().enumerate().any(|(other, better)| {
                better.priority <= track.priority && high[other] > low[other]
            });
            assert!(high[index] >= low[index] || is_compensated, "{least} {most} {tracks:?}");
        }
    }
    assert!(full > 10_000 && partial > 10_000, "{full} {partial}");
}

/// No track lacks its next layer while a worse class holds what it would cost.
fn assert_priorities(tracks: &[Track<'_>], chosen: &[Option<usize>], budget: u64, used: u64) {
    for (track, choice) in tracks.iter().zip(chosen) {
        let next = choice.map_or(0, |index| index + 1);
        let Some(rung) = track.ladder.get(next).filter(|_| track.kind == MediaKind::Video) else {
            continue;
        };
        let rises = Some(rung.layer) > track.current;
        if rises && !track.may_rise {
            continue;
        }
        let held_by_worse: u64 = tracks
            .iter()
            .zip(chosen)
            .filter(|(other, _)| other.kind == MediaKind::Video && other.priority > track.priority)
            .map(|(other, choice)| cost(other, *choice))
            .sum();
        let after = used - held_by_worse - cost(track, *choice) + rung.bps;
        let needed = if rises { after + after / HEADROOM } else { after };
        assert!(needed > budget, "{budget} {chosen:?} {tracks:?}");
    }
}
