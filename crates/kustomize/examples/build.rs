//! Prints what `kustomize build DIR` prints: `cargo run --example build -- DIR`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use kustomize::{DirFiles, Options, build};

fn main() -> ExitCode {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    match render(Path::new(&dir)) {
        Ok(text) => {
            let written = std::io::stdout().write_all(text.as_bytes());
            if written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(why) => {
            // Without stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

fn render(dir: &Path) -> Result<String, String> {
    let dir = dir
        .canonicalize()
        .map_err(|error| format!("{}: {error}", dir.display()))?;
    // Bases may be anywhere, so the tree is the whole file system.
    let files = DirFiles::new("/").map_err(|error| error.to_string())?;
    let path = dir
        .to_str()
        .ok_or("the path is not UTF-8")?
        .trim_start_matches('/');
    let built = build(&files, path, &Options::default()).map_err(|errors| errors.to_string())?;
    let mut stderr = std::io::stderr();
    for warning in &built.warnings {
        // As above.
        let _ = writeln!(stderr, "# Warning: {}", warning.message);
    }
    let text = built.to_yaml();
    // The process ends here: freeing a large build would take a tenth of its time.
    std::mem::forget(built);
    Ok(text)
}
