//! A watch that embeds.

use super::*;

#[test]
fn a_watch_makes_vectors_again_only_once() {
    let scene = Scene::with(5);
    let watch = Killed(scene.embeds("watch", &scene.server.url(), &["--embed-anew"]));
    eventually("all are embedded", || (scene.db().exists() && scene.server.seen() == 5).then_some(()));
    eventually("they are written", || (scene.vectors() == 5).then_some(()));
    scene.write(".new", "about a zebra");
    fs::rename(scene.dir.path().join("notes/.new"), scene.dir.path().join("notes/new.md")).expect("a rename");
    eventually("the new one is, too", || (scene.vectors() == 6).then_some(()));
    drop(watch);
    assert_eq!(scene.server.seen(), 6, "none a second time");
}

#[test]
fn a_watch_without_a_server_says_so_once() {
    let scene = Scene::with(2);
    // Nobody listens there.
    let mut watch = Killed(scene.embeds("watch", "http://127.0.0.1:1/v1", &[]));
    let (sender, lines) = std::sync::mpsc::channel();
    let err = BufReader::new(watch.0.stderr.take().expect("it is piped"));
    thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let line = || lines.recv_timeout(Duration::from_mins(1)).expect("it says something");
    let is_about_it = |line: &String| line.contains("http://127.0.0.1:1/v1");
    while !is_about_it(&line()) {}
    for number in 0..2 {
        scene.write(&format!("new-{number}.md"), "another one");
        eventually("it is in", || (scene.number("SELECT count(*) FROM nodes") == 3 + number).then_some(()));
    }
    drop(watch);
    let rest: Vec<String> = lines.iter().collect();
    assert!(!rest.iter().any(is_about_it), "{rest:?}");
}

#[test]
fn a_watch_tries_again_until_the_server_is_there() {
    let scene = Scene::with(5);
    // An address that nobody else takes in the meantime: the other servers are on 127.0.0.1.
    let address = TcpListener::bind("127.0.0.2:0").and_then(|it| it.local_addr()).expect("a port");
    let mut watch = Killed(scene.embeds("watch", &format!("http://{address}/v1"), &[]));
    let (sender, lines) = std::sync::mpsc::channel();
    let err = BufReader::new(watch.0.stderr.take().expect("it is piped"));
    thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let says = |what: &str| {
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains(what)) {
            said.push(
                lines.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| panic!("{what}: {said:?}")),
            );
        }
        said
    };
    let url = format!("http://{address}/v1");
    assert!(says(&url).last().is_some_and(|line| line.contains("0 of 5")));
    let journals =
        || fs::read_dir(scene.places().runs).expect("the folder").map(|it| it.expect("an entry").path());
    let journals = || journals().filter(|path| path.extension().is_some_and(|it| it == "jsonl")).count();
    assert_eq!(journals(), 1);
    let _server = Server::on(&TcpListener::bind(address).expect("it is free"));
    let lines = says("embedding continues: ");
    drop(watch);
    // The server may come in the middle of a try, which gets some of them then.
    let halves = lines.iter().filter(|line| line.contains(&url)).count();
    assert!(halves <= 1 && lines.len() == halves + 1, "{lines:?}");
    assert_eq!((scene.vectors(), journals()), (5, halves + 2), "no try that failed left a journal");
}
