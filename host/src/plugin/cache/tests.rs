//! The cache gives back what was stored, and takes anything else for a miss.

use super::*;

fn engine() -> wasmtime::Engine {
    wasmtime::Engine::default()
}

/// A fresh folder, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("millstream-cache-{name}-{}", std::process::id()));
        // Left over from a run that was killed.
        let _ = fs::remove_dir_all(&folder);
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stored(folder: &Folder) -> (wasmtime::Engine, Cache, ContentHash) {
    let engine = engine();
    let cache = Cache::open(&folder.0, &engine).unwrap();
    let component = Component::new(&engine, b"\0asm\x0d\0\x01\0").unwrap();
    let content = ContentHash::of(b"the source");
    cache.store(content, &component.serialize().unwrap());
    (engine, cache, content)
}

#[test]
fn an_entry_comes_back_to_the_same_engine_only() {
    let folder = Folder::new("same");
    let (engine, cache, content) = stored(&folder);
    assert!(cache.load(&engine, content).is_some());
    assert!(cache.load(&engine, ContentHash::of(b"another source")).is_none());

    let mut settings = wasmtime::Config::new();
    settings.epoch_interruption(true);
    let other = wasmtime::Engine::new(&settings).unwrap();
    let cache = Cache::open(&folder.0, &other).unwrap();
    assert!(cache.load(&other, content).is_none());
}

#[test]
fn a_changed_byte_anywhere_is_a_miss() {
    let folder = Folder::new("damage");
    let (engine, cache, content) = stored(&folder);
    let path = cache.path(content);
    let sound = fs::read(&path).unwrap();
    for position in [0, 8, 40, 72, HEADER, HEADER + 100, sound.len() - 1] {
        let mut damaged = sound.clone();
        damaged[position] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert!(cache.load(&engine, content).is_none(), "byte {position}");
    }
    for length in [0, HEADER - 1, HEADER, sound.len() - 1] {
        fs::write(&path, &sound[..length]).unwrap();
        assert!(cache.load(&engine, content).is_none(), "length {length}");
    }
    fs::write(&path, sound).unwrap();
    assert!(cache.load(&engine, content).is_some());
}

#[test]
fn an_entry_under_a_foreign_name_is_a_miss() {
    let folder = Folder::new("foreign");
    let (engine, cache, content) = stored(&folder);
    let other = ContentHash::of(b"another source");
    fs::copy(cache.path(content), cache.path(other)).unwrap();
    assert!(cache.load(&engine, other).is_none());
}

#[test]
fn an_open_folder_is_closed_and_a_file_is_refused() {
    let folder = Folder::new("mode");
    fs::create_dir(&folder.0).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).unwrap();
    Cache::open(&folder.0, &engine()).unwrap();
    assert_eq!(fs::metadata(&folder.0).unwrap().mode() & 0o777, 0o700);

    let file = folder.0.join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Cache::open(&file, &engine()), Err(PluginError::Cache { .. })));
}

#[test]
fn old_entries_are_trimmed() {
    let folder = Folder::new("trim");
    let cache = Cache::open(&folder.0, &engine()).unwrap();
    for n in 0..MAX_ENTRIES + 5 {
        cache.store(ContentHash::of(&n.to_le_bytes()), b"artefact");
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), MAX_ENTRIES);
}
