//! Tests of the swap: what a server that reads at any moment would find.

use super::*;

fn set(tag: &str) -> Set {
    Set {
        certificate: Some(Zeroizing::new(format!("cert {tag}").into_bytes())),
        key: Some(Zeroizing::new(format!("key {tag}").into_bytes())),
        chain: Some(format!("chain {tag}").into_bytes()),
    }
}

fn target(dir: &Path) -> Target {
    let path = dir.join("site.pem");
    Target::resolve(path.to_str().unwrap(), &[dir.to_owned()]).unwrap()
}

fn read(dir: &Path) -> [Option<String>; 3] {
    ["site.pem", "site.key", "site.chain.pem"].map(|name| fs::read_to_string(dir.join(name)).ok())
}

fn shows(tag: &str) -> [Option<String>; 3] {
    ["cert", "key", "chain"].map(|part| Some(format!("{part} {tag}")))
}

fn install(generations: &Generations<'_>, tag: &str) {
    generations.adopt().unwrap();
    let staged = generations.stage_like_current(&set(tag)).unwrap();
    generations.swap(&staged).unwrap();
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn a_first_set_appears_and_goes_away_again() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path());
    let generations = Generations::open(&target).unwrap();
    install(&generations, "one");
    assert_eq!(read(dir.path()), shows("one"));
    assert_eq!(mode(dir.path().join("site.key")), 0o600);
    assert_eq!(mode(dir.path().join("site.pem")), 0o644);
    assert!(generations.roll_back().unwrap());
    assert_eq!(read(dir.path()), [None, None, None]);
    assert!(!generations.roll_back().unwrap());
}

#[test]
fn rollback_goes_to_what_was_proven_last() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path());
    let generations = Generations::open(&target).unwrap();
    install(&generations, "one");
    generations.proven().unwrap();
    assert!(generations.holds(&set("one")).unwrap());
    // Two swaps without a proof between them: a crash, then another job.
    install(&generations, "two");
    install(&generations, "three");
    assert_eq!(read(dir.path()), shows("three"));
    assert!(generations.roll_back().unwrap());
    assert_eq!(read(dir.path()), shows("one"));
    assert_eq!(generations.generations().unwrap().len(), 1);
}

#[test]
fn only_two_generations_stay() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path());
    let generations = Generations::open(&target).unwrap();
    for tag in ["one", "two", "three", "four"] {
        install(&generations, tag);
        generations.proven().unwrap();
    }
    assert_eq!(read(dir.path()), shows("four"));
    assert_eq!(generations.generations().unwrap().len(), 2);
}

#[test]
fn plain_files_are_taken_over_with_their_modes_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.pem"), "cert old").unwrap();
    fs::write(dir.path().join("site.key"), "key old").unwrap();
    fs::set_permissions(dir.path().join("site.key"), Permissions::from_mode(0o640)).unwrap();
    let target = target(dir.path());
    let generations = Generations::open(&target).unwrap();
    generations.adopt().unwrap();
    let old = [Some("cert old".to_owned()), Some("key old".to_owned()), None];
    assert_eq!(read(dir.path()), old);
    install(&generations, "new");
    assert_eq!(read(dir.path()), shows("new"));
    assert_eq!(mode(dir.path().join("site.key")), 0o640);
    assert!(generations.roll_back().unwrap());
    assert_eq!(read(dir.path()), old);
    assert!(fs::symlink_metadata(dir.path().join("site.chain.pem")).is_err());
}

#[test]
fn a_file_put_there_by_hand_wins_over_our_link() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path());
    let generations = Generations::open(&target).unwrap();
    install(&generations, "one");
    generations.proven().unwrap();
    fs::remove_file(dir.path().join("site.pem")).unwrap();
    fs::write(dir.path().join("site.pem"), "cert by hand").unwrap();
    install(&generations, "two");
    assert!(generations.roll_back().unwrap());
    assert_eq!(read(dir.path())[0].as_deref(), Some("cert by hand"));
    assert_eq!(read(dir.path())[1].as_deref(), Some("key one"));
}

#[test]
fn links_of_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc/hostname", dir.path().join("site.key")).unwrap();
    let target = target(dir.path());
    let generations = Generations::open(&target).unwrap();
    let refused = generations.adopt().unwrap_err().to_string();
    assert!(refused.contains("move it away"), "{refused}");
    // Nor does a link in place of our own directory lead anywhere.
    let other = tempfile::tempdir().unwrap();
    symlink("/tmp", other.path().join(HIDDEN)).unwrap();
    let path = other.path().join("site.pem");
    let target = Target::resolve(path.to_str().unwrap(), &[other.path().to_owned()]).unwrap();
    assert!(Generations::open(&target).is_err());
}

#[test]
fn leftovers_of_a_crash_are_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path());
    install(&Generations::open(&target).unwrap(), "one");
    let staging = target.store().join(STAGING);
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("key.pem"), "half").unwrap();
    symlink("g1", target.store().join(NEW_LINK)).unwrap();
    clean_all(dir.path(), &Decision::default()).unwrap();
    assert!(!staging.exists());
    assert!(fs::symlink_metadata(target.store().join(NEW_LINK)).is_err());
    assert_eq!(read(dir.path()), shows("one"));
}

#[test]
fn a_moved_tree_still_works() {
    let dir = tempfile::tempdir().unwrap();
    let before = dir.path().join("before");
    fs::create_dir(&before).unwrap();
    install(&Generations::open(&target(&before)).unwrap(), "one");
    let after = dir.path().join("after");
    fs::rename(&before, &after).unwrap();
    assert_eq!(read(&after), shows("one"));
}

#[test]
fn a_reader_never_sees_a_mixed_set() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let target = target(&path);
    let generations = Generations::open(&target).unwrap();
    install(&generations, "0");
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (done, store) = (std::sync::Arc::clone(&done), target.store());
        move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // What is current at one moment is one whole set.
                let generation = store.join(fs::read_link(store.join(CURRENT)).unwrap());
                let Ok(cert) = fs::read_to_string(generation.join("cert.pem")) else {
                    continue;
                };
                let Ok(key) = fs::read_to_string(generation.join("key.pem")) else {
                    continue;
                };
                assert_eq!(cert.replace("cert", "key"), key);
            }
        }
    });
    for tag in 1..50 {
        install(&generations, &tag.to_string());
        generations.proven().unwrap();
        assert!(path.join("site.pem").exists());
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    reader.join().unwrap();
}
