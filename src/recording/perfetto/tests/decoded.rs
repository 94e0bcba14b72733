//! Reads a trace of `TrackEvent`s by the numbers of the published messages.

use super::*;

/// A field of a message.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => panic!("{bytes:?} is no number"),
        }
    }

    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} is no message"),
        }
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("text")
    }
}

/// A message: its fields with their numbers.
struct Message<'a>(Vec<(u64, Field<'a>)>);

impl<'a> Message<'a> {
    fn of(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                1 => Field::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().expect("8 bytes"))),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).expect("a length");
                    Field::Bytes(take(&mut bytes, length))
                }
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn get(&self, number: u64) -> Option<Field<'a>> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, field)| *field)
    }

    fn message(&self, number: u64) -> Option<Self> {
        self.get(number).map(|field| Self::of(field.bytes()))
    }

    fn number(&self, number: u64) -> u64 {
        self.get(number).expect("a field").number()
    }

    fn text(&self, number: u64) -> String {
        self.get(number).expect("a field").text()
    }

    /// The value of the debug annotation `name`, the field with the number `kind`.
    fn annotation(&self, name: &str, kind: u64) -> Field<'a> {
        let all = self.0.iter().filter(|(number, _)| *number == 4);
        let mut all = all.map(|(_, field)| Message::of(field.bytes()));
        all.find(|it| it.text(10) == name).and_then(|it| it.get(kind)).expect("an annotation")
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a number is too long");
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (first, rest) = bytes.split_at(length);
    *bytes = rest;
    first
}

/// The trace in `bytes`.
pub fn trace(bytes: &[u8]) -> ReadTrace {
    let mut reader = Reader::default();
    for (number, packet) in Message::of(bytes).0 {
        assert_eq!(number, 1, "a trace has packets alone");
        let packet = Message::of(packet.bytes());
        if let Some(clocks) = packet.message(6) {
            assert_eq!(clocks.number(2), 1, "the wall clock");
        } else if let Some(track) = packet.message(60) {
            reader.describe(&track);
        } else {
            assert!(packet.number(10) > 0, "a sequence");
            let at = i64::try_from(packet.number(8)).expect("a time");
            assert_eq!(at % 1000, 0);
            reader.event(at / 1000, &packet.message(11).expect("an event"));
        }
    }
    assert!(reader.open.is_empty(), "each slice has an end");
    reader.read
}

#[derive(Default)]
struct Reader {
    read: ReadTrace,
    /// Name and process of each track.
    tracks: BTreeMap<u64, (String, u64)>,
    counters: BTreeSet<u64>,
    open: BTreeMap<u64, ReadSlice>,
    numbers: TrackCounts,
}

impl Reader {
    fn describe(&mut self, track: &Message<'_>) {
        let uuid = track.number(1);
        let described = match track.message(3) {
            Some(process) => (process.text(6), uuid),
            None => (track.text(2), track.get(5).map_or(uuid, Field::number)),
        };
        assert!(self.tracks.contains_key(&described.1) || described.1 == uuid, "its process comes first");
        assert!(self.tracks.insert(uuid, described).is_none(), "each track is described once");
        if let Some(counter) = track.message(8) {
            assert!([2, 3].contains(&counter.number(3)), "a count or bytes");
            self.counters.insert(uuid);
        }
    }

    fn event(&mut self, at: i64, event: &Message<'_>) {
        let uuid = event.number(11);
        let (track, process) = self.tracks[&uuid].clone();
        let process = self.tracks[&process].0.clone();
        match event.number(9) {
            1 => {
                let number = self.numbers.of(&process, &track, uuid.cast_signed());
                let exact = event.annotation("exact", 2).number() == 1;
                let name = event.text(23);
                let slice = ReadSlice { process, track, number, name, began: at, ended: at, exact };
                assert!(self.open.insert(uuid, slice).is_none(), "one slice at a time on a track");
            }
            2 => {
                let slice = self.open.remove(&uuid).expect("its begin comes first");
                self.read.slices.push(ReadSlice { ended: at, ..slice });
            }
            3 => {
                let message = event.annotation("message", 6).text();
                self.read.instants.insert((event.text(23), at, message));
            }
            4 => {
                assert!(self.counters.contains(&uuid));
                self.read.counters.insert((track, at, event.number(30)));
            }
            other => panic!("a kind of event that is not written: {other}"),
        }
    }
}
