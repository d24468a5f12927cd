//! The terminal: taken, drawn on, and given back on every way out, a panic among them.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Read, Write},
    panic,
    sync::{Mutex, PoisonError},
    thread,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use super::{
    Keys,
    frame::{Line, Size},
};

/// Another screen, without a cursor; what was on the first one stays there.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Of a terminal that does not say.
const USUAL: Size = Size { columns: 80, rows: 24 };
/// Keys that were pressed and not looked at. More wait in the terminal.
const KEYS: usize = 16;

/// How the terminal was. Nothing where it is not taken, or was given back.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Whether there is one to draw on and to press keys at.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal, as long as it is ours.
pub(super) struct Screen(());

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // From here on it is given back.
        let screen = Self(());
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            give_back();
            told(panicked);
        }));
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        write(ENTER)?;
        Ok(screen)
    }

    pub(super) fn size(&self) -> Size {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
            }
            _ => USUAL,
        }
    }

    /// In one write, over what was there, so that nothing flickers.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (place, Line { text: line, is_heading }) in lines.iter().enumerate() {
            let (begin, end) = if *is_heading { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            // After the last line nothing may scroll.
            let next = if place > 0 { "\r\n" } else { "" };
            let written = write!(text, "{next}{begin}{line}{end}\x1b[K");
            written.expect("memory takes everything");
        }
        text.push_str("\x1b[J");
        write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Once; nobody can be told when it fails.
fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Keys as they are pressed; they end with the terminal.
pub(super) fn keys() -> Keys {
    let (pressed, keys) = mpsc::channel(KEYS);
    // It waits for a key until the process ends.
    thread::spawn(move || {
        let mut key = [0];
        while let Ok(1) = io::stdin().lock().read(&mut key) {
            if pressed.blocking_send(key[0]).is_err() {
                return;
            }
        }
    });
    keys
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::{mem::ManuallyDrop, time::Duration};

    use samovar_testkit::{
        Terminal,
        process::{role, this_test},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const THIS: &str = "commands::top::terminal::tests::a_panic_anywhere_gives_the_terminal_back";

    /// In a process of its own, which has a terminal to take.
    #[test]
    fn a_panic_anywhere_gives_the_terminal_back() {
        if role().is_some() {
            // Nothing is unwound that would give it back.
            let _screen = ManuallyDrop::new(Screen::enter().expect("a terminal"));
            assert!(thread::spawn(|| panic!("on purpose")).join().is_err());
            return;
        }
        let terminal = Terminal::open(80, 24).expect("a terminal");
        let before = terminal.modes().expect("a terminal");
        let panics = terminal.run(this_test(THIS, "panics").expect("a path")).expect("it starts");
        terminal.shows(ENTER, 0, LIMIT).expect("it is taken");
        panics.wait_for_success(LIMIT).expect("it ends");
        terminal.shows(LEAVE, 0, LIMIT).expect("it is given back");
        assert_eq!(terminal.modes().expect("a terminal"), before);
    }
}
