//! Links between pages: each leads to a file that is there, and to a heading of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::root;

/// The links of a page that lead nowhere.
pub fn broken_in(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let is_elsewhere = |target: &&str| target.contains("://") || target.starts_with("mailto:");
    let targets = targets_in(&text);
    let broken = targets.iter().filter(|target| !is_elsewhere(&target.as_str())).filter(|target| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let file = if file.is_empty() { root().join(name) } else { root().join(folder).join(file) };
        let is_there = file.exists();
        let has_heading =
            || heading.is_empty() || fs::read_to_string(&file).is_ok_and(|page| headings_of(&page).contains(heading));
        !(is_there && has_heading())
    });
    broken.map(|target| format!("{name}: {target}")).collect()
}

/// What links and pictures point to, outside of blocks.
fn targets_in(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let after = prose.split("](").skip(1);
    after.filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// The names by which headings can be linked to, as Git hosts make them.
fn headings_of(page: &str) -> BTreeSet<String> {
    let prose: String = page.split("```").step_by(2).collect();
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .collect::<String>();
            kept.replace(' ', "-")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_headings_are_found_as_git_hosts_make_them() {
        let page = "# Is it well?\n\n[x](y.md#a-b) ![p](z.svg)\n```sh\necho [n](no)\n```\n## Who's in (let)\n";
        assert_eq!(targets_in(page), ["y.md#a-b", "z.svg"].map(str::to_owned));
        assert_eq!(headings_of(page), BTreeSet::from(["is-it-well".to_owned(), "whos-in-let".to_owned()]));
    }
}
