//! From nothing to a secured transport, or to the reason why not.

mod support;

use std::time::Duration;

use media_core::DropReason;
use media_core::api::{CloseReason, Event, MediaKind, SrtpProfile, TransportState};
use support::client::{ClientConfig, DtlsVersion};
use support::media::TrackConfig;
use support::{World, lossy};

const GCM_128: dimpl::SrtpProfile = dimpl::SrtpProfile::AEAD_AES_128_GCM;
const GCM_256: dimpl::SrtpProfile = dimpl::SrtpProfile::AEAD_AES_256_GCM;
const CM_SHA1: dimpl::SrtpProfile = dimpl::SrtpProfile::AES128_CM_SHA1_80;

fn secured(world: &World, index: usize) -> Option<(&'static str, SrtpProfile)> {
    let id = world.endpoints[index].transport;
    world.events.iter().find_map(|event| match event {
        Event::TransportSecured { transport, dtls_version, profile } if *transport == id => {
            Some((*dtls_version, *profile))
        }
        _ => None,
    })
}

fn final_reason(world: &World, index: usize) -> Option<(TransportState, CloseReason)> {
    let id = world.endpoints[index].transport;
    world.events.iter().rev().find_map(|event| match event {
        Event::TransportStateChanged { transport, state, reason } if *transport == id => {
            Some((*state, *reason))
        }
        _ => None,
    })
}

#[test]
fn every_version_role_and_profile_connects_and_carries_media() {
    use SrtpProfile::{AeadAes128Gcm, AeadAes256Gcm, Aes128CmSha1_80};
    let chromium = vec![CM_SHA1, GCM_256, GCM_128];
    let table = [
        (DtlsVersion::Auto, chromium.clone(), "1.3", AeadAes128Gcm),
        (DtlsVersion::V12, chromium, "1.2", AeadAes128Gcm),
        (DtlsVersion::V13, vec![CM_SHA1, GCM_256], "1.3", AeadAes256Gcm),
        (DtlsVersion::V12, vec![CM_SHA1, GCM_256], "1.2", AeadAes256Gcm),
        (DtlsVersion::V13, vec![CM_SHA1], "1.3", Aes128CmSha1_80),
        (DtlsVersion::V12, vec![CM_SHA1], "1.2", Aes128CmSha1_80),
    ];
    for (version, profiles, expected_version, expected_profile) in table {
        for is_dtls_client in [true, false] {
            let what = format!("{version:?} {profiles:?} client: {is_dtls_client}");
            let mut config = ClientConfig::at("198.51.100.1:5001");
            (config.version, config.is_dtls_client) = (version, is_dtls_client);
            config.profiles = profiles.clone();
            if !is_dtls_client {
                // A server picks by its own order; what it accepts is what is expected here.
                config.profiles.retain(|profile| match expected_profile {
                    AeadAes128Gcm => *profile == GCM_128,
                    AeadAes256Gcm => *profile == GCM_256,
                    Aes128CmSha1_80 => *profile == CM_SHA1,
                });
            }
            let mut world = World::new();
            world.join(1, config);
            let mut other = ClientConfig::at("198.51.100.2:5002");
            other.profiles = vec![GCM_256];
            world.join(1, other);
            world.connect();
            assert_eq!(secured(&world, 0), Some((expected_version, expected_profile)), "{what}");
            assert_eq!(world.client(0).profile, Some(expected_profile), "{what}");
            let states = world.states(0);
            assert_eq!(states, [TransportState::Connecting, TransportState::Connected], "{what}");
            world.publish(0, 10, TrackConfig::audio(1_000));
            world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
            world.publish(1, 11, TrackConfig::audio(2_000));
            world.subscribe(0, 21, 11, MediaKind::Audio, 8_000);
            world.run(Duration::from_secs(1));
            for (index, ssrc) in [(1, 7_000), (0, 8_000)] {
                let got = world.client(index).media.inbound[&ssrc].got.len();
                assert!(got > 40, "{what}: {got} packets");
            }
        }
    }
}

#[test]
fn all_sha2_fingerprints_are_accepted() {
    for algorithm in ["sha-256", "sha-384", "sha-512"] {
        let mut world = World::new();
        let config = ClientConfig::at("198.51.100.1:5001");
        world.join_with(1, config, |client| vec![client.fingerprint(algorithm)]);
        world.connect();
    }
}

#[test]
fn a_wrong_fingerprint_fails_before_keys_are_used() {
    for version in [DtlsVersion::V12, DtlsVersion::V13] {
        for is_dtls_client in [true, false] {
            let mut world = World::new();
            let mut config = ClientConfig::at("198.51.100.1:5001");
            (config.version, config.is_dtls_client) = (version, is_dtls_client);
            world.join_with(1, config, |client| {
                let mut fingerprint = client.fingerprint("sha-256");
                fingerprint.digest[31] ^= 1;
                vec![fingerprint]
            });
            world.run(Duration::from_secs(5));
            let expected = (TransportState::Failed, CloseReason::FingerprintMismatch);
            assert_eq!(final_reason(&world, 0), Some(expected), "{version:?} {is_dtls_client}");
            assert_eq!(secured(&world, 0), None);
            let counters = world.snapshot().counters;
            assert_eq!((counters.dtls_handshakes, counters.dtls_failures), (0, 1));
        }
    }
}

#[test]
fn without_a_common_srtp_profile_the_transport_fails() {
    for version in [DtlsVersion::V12, DtlsVersion::V13] {
        let mut world = World::new();
        let mut config = ClientConfig::at("198.51.100.1:5001");
        (config.version, config.profiles) = (version, vec![]);
        world.join(1, config);
        world.run(Duration::from_secs(50));
        let (state, reason) = final_reason(&world, 0).unwrap();
        assert_eq!(state, TransportState::Failed, "{version:?}");
        let expected =
            [CloseReason::NoSrtpProfile, CloseReason::DtlsFailed, CloseReason::DtlsTimeout];
        assert!(expected.contains(&reason), "{version:?}: {reason:?}");
        assert_eq!(secured(&world, 0), None);
    }
}

#[test]
fn a_wrong_password_is_not_answered() {
    let mut world = World::new();
    world.join(1, ClientConfig::at("198.51.100.1:5001"));
    world.client(0).remote_ice.password.push('x');
    world.run(Duration::from_secs(3));
    assert_eq!(world.client(0).answers, 0);
    assert!(world.outbox.sent.is_empty() && world.strays.is_empty());
    assert!(world.dropped(DropReason::StunUnauthenticated) >= 10);
    assert_eq!(world.states(0), []);
    world.run(Duration::from_secs(60));
    let expected = (TransportState::Failed, CloseReason::ConsentExpired);
    assert_eq!(final_reason(&world, 0), Some(expected));
}

#[test]
fn wrong_names_in_a_check_are_not_answered() {
    for (ours, theirs) in [("srv0", "cliX"), ("srvX", "cli0"), ("", "cli0"), ("srv0", "")] {
        let mut world = World::new();
        world.join(1, ClientConfig::at("198.51.100.1:5001"));
        let client = world.client(0);
        client.remote_ice.ufrag = ours.into();
        client.local_ice.ufrag = theirs.into();
        world.run(Duration::from_secs(1));
        assert_eq!(world.client(0).answers, 0, "{ours}:{theirs}");
        assert_eq!(world.states(0), []);
    }
}

#[test]
fn the_answer_tells_the_address_the_check_came_from() {
    for address in ["198.51.100.1:5001", "[2001:db8::7]:65535"] {
        let mut world = World::new();
        world.join(1, ClientConfig::at(address));
        world.connect();
        assert_eq!(world.client(0).mapped, Some(address.parse().unwrap()));
    }
}

#[test]
fn a_client_that_believes_to_be_controlled_is_told_of_the_conflict() {
    let mut world = World::new();
    world.join(1, ClientConfig::at("198.51.100.1:5001"));
    world.client(0).checks = false;
    let bytes = world.client(0).check(true, false);
    let from = world.client(0).remote();
    world.deliver(support::Datagram { from, bytes });
    world.run(Duration::from_millis(100));
    assert_eq!((world.client(0).role_conflicts, world.client(0).answers), (1, 0));
    assert_eq!(world.states(0), []);
}

#[test]
fn dtls_before_a_check_is_ignored() {
    let mut world = World::new();
    world.join(1, ClientConfig::at("198.51.100.1:5001"));
    world.client(0).checks = false;
    let hello = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    let from = world.client(0).remote();
    world.deliver(support::Datagram { from, bytes: hello.to_vec() });
    assert!(world.strays.is_empty());
    assert_eq!(world.dropped(DropReason::UnknownSource), 1);
}

#[test]
fn half_of_all_packets_lost_does_not_prevent_the_handshake() {
    // What a message holds is random, and so is which of its packets are lost.
    const MOST_SLOW: usize = 2;
    let mut slow = Vec::new();
    for version in [DtlsVersion::V12, DtlsVersion::V13] {
        for seed in 0..20 {
            let mut world = World::new();
            let mut config = ClientConfig::at("198.51.100.1:5001");
            config.version = version;
            world.join(1, config);
            let (up, down) = (10_000 + seed, 20_000 + seed);
            world.endpoints[0].up = media_core::netem::Netem::new(lossy(0.5), up);
            world.endpoints[0].down = media_core::netem::Netem::new(lossy(0.5), down);
            world.run_while(Duration::from_secs(30), |world| {
                !world.states(0).contains(&TransportState::Connected)
                    || !world.endpoints[0].client.is_connected()
            });
            let elapsed = world.now - world.start;
            if !world.client(0).is_connected() || elapsed >= Duration::from_secs(25) {
                slow.push((version, seed, elapsed));
            }
        }
    }
    assert!(slow.len() <= MOST_SLOW, "of 40: {slow:?}");
}

/// How long a joining browser waits for a handshake after ICE has found a path, as the SDK does.
const PATIENCE: [u64; 6] = [2, 2, 3, 4, 6, 9];

/// Time until both ends have keys, with new connections where one takes too long.
fn seconds_to_join(seed: u64, is_dtls_client: bool, is_patient: bool) -> f64 {
    let mut world = World::new();
    for (connection, patience) in PATIENCE.iter().enumerate() {
        let mut config = ClientConfig::at(&format!("198.51.100.1:{}", 5_001 + connection));
        (config.like_chromium, config.is_dtls_client) = (true, is_dtls_client);
        let index = world.join(1, config);
        let seed = seed * 1_000 + connection as u64;
        world.endpoints[index].up = media_core::netem::Netem::new(lossy(0.7), seed);
        world.endpoints[index].down = media_core::netem::Netem::new(lossy(0.7), seed + 500);
        let is_done = |world: &World| {
            world.endpoints[index].client.is_connected()
                && world.states(index).contains(&TransportState::Connected)
        };
        let mut found = None;
        world.run_while(Duration::from_secs(60), |world| {
            if world.endpoints[index].client.answers > 0 {
                found.get_or_insert(world.now);
            }
            let is_late = found.is_some_and(|at| world.now - at >= Duration::from_secs(*patience));
            !is_done(world) && (is_patient || !is_late)
        });
        if is_patient || is_done(&world) {
            break;
        }
        let transport = world.endpoints[index].transport;
        world.client(index).alive = false;
        world.execute(media_core::api::Command::CloseTransport { transport });
        // The offer and its answer.
        world.run(Duration::from_millis(100));
    }
    (world.now - world.start).as_secs_f64()
}

/// What Chromium leaves to us at 70 % both ways: its own repetitions fall silent for seconds, so a
/// connection whose handshake isn't done soon is replaced.
#[test]
fn a_browser_joins_within_ten_seconds_at_heavy_loss() {
    let share = |is_dtls_client, is_patient| {
        let quick =
            (1..=150).filter(|seed| seconds_to_join(*seed, is_dtls_client, is_patient) < 10.0);
        quick.count() as f64 / 150.0
    };
    let patient = share(true, true);
    assert!(patient < 0.95, "without new connections: {patient}");
    for is_dtls_client in [true, false] {
        let replaced = share(is_dtls_client, false);
        // Some 99.4 % (12 runs: 97.3 to 100): keys, and with them flights, differ from run to run.
        assert!(replaced >= 0.96, "the browser says hello: {is_dtls_client}: {replaced}");
    }
}

#[test]
fn with_aes_128_gcm_alone_a_server_of_another_order_picks_it_and_one_without_gets_no_keys() {
    let table = [
        (vec![CM_SHA1, GCM_256, GCM_128], Some(SrtpProfile::AeadAes128Gcm)),
        (vec![CM_SHA1, GCM_128], Some(SrtpProfile::AeadAes128Gcm)),
        (vec![CM_SHA1, GCM_256], None),
        (vec![CM_SHA1], None),
    ];
    for version in [DtlsVersion::V12, DtlsVersion::V13] {
        for (profiles, expected) in table.clone() {
            let mut world = World::new();
            let mut config = ClientConfig::at("198.51.100.1:5001");
            (config.like_chromium, config.is_dtls_client) = (true, false);
            (config.version, config.profiles) = (version, profiles.clone());
            world.join(1, config);
            world.run(Duration::from_secs(5));
            let got = secured(&world, 0).map(|(_, profile)| profile);
            assert_eq!(got, expected, "{version:?} {profiles:?}");
            if expected.is_none() {
                let reason = final_reason(&world, 0);
                let refused = [CloseReason::NoSrtpProfile, CloseReason::DtlsFailed]
                    .map(|reason| Some((TransportState::Failed, reason)));
                assert!(refused.contains(&reason), "{version:?}: {reason:?}");
            }
        }
    }
}

#[test]
fn a_client_that_never_says_hello_fails_in_time() {
    let mut world = World::new();
    let index = world.join(1, ClientConfig::at("198.51.100.1:5001"));
    world.run(Duration::from_millis(1));
    // Only checks get through from here on.
    world.client(0).checks = false;
    for _ in 0..45 {
        let bytes = world.client(0).check(true, true);
        let from = world.client(0).remote();
        world.client(0).alive = false;
        world.deliver(support::Datagram { from, bytes });
        world.run(Duration::from_secs(1));
    }
    let expected = (TransportState::Failed, CloseReason::DtlsTimeout);
    assert_eq!(final_reason(&world, index), Some(expected));
}
