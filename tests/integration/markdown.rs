//! As much of Markdown as the project's documents use.

/// A fenced or indented block.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// What stands behind the fence; indented blocks have none.
    pub language: String,
    pub lines: Vec<String>,
}

/// The blocks of a document, and its other lines; where a block was there is an empty one.
pub fn split(text: &str) -> (Vec<Block>, Vec<&str>) {
    let (mut blocks, mut rest) = (Vec::<Block>::new(), Vec::new());
    let mut lines = text.lines().peekable();
    let mut blank = true;
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|l| !l.starts_with("```")).map(str::to_owned).collect();
            blocks.push(Block { language: language.to_owned(), lines: inside });
            rest.push("");
        } else if blank && line.starts_with("    ") {
            let mut inside = vec![line[4..].to_owned()];
            while let Some(next) = lines.next_if(|l| l.starts_with("    ")) {
                inside.push(next[4..].to_owned());
            }
            blocks.push(Block { language: String::new(), lines: inside });
            rest.push("");
        } else {
            rest.push(line);
        }
        blank = line.is_empty();
    }
    (blocks, rest)
}

/// What stands between backticks in the lines outside of blocks.
pub fn spans(lines: &[&str]) -> Vec<String> {
    let paragraphs = lines.split(|l| l.is_empty()).map(|p| p.join(" "));
    let inside = |paragraph: String| {
        assert_eq!(paragraph.matches('`').count() % 2, 0, "a backtick is missing: {paragraph}");
        paragraph.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    paragraphs.flat_map(inside).collect()
}

/// Targets of links and pictures.
pub fn links(lines: &[&str]) -> Vec<String> {
    let text = lines.join("\n");
    let behind = text.split("](").skip(1);
    behind.map(|rest| rest.split_once(')').unwrap().0.to_owned()).collect()
}

/// What a heading is linked by.
pub fn anchors(lines: &[&str]) -> Vec<String> {
    let headings = lines.iter().filter(|l| l.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let slug = |l: &&str| l.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>();
    headings.map(|l| slug(l).replace(' ', "-")).collect()
}

/// Cells of the table whose head starts with this cell, row by row.
#[track_caller]
pub fn table(lines: &[&str], head: &str) -> Vec<Vec<String>> {
    let start = lines.iter().position(|l| l.starts_with(&format!("| {head} |")));
    let rows = lines[start.unwrap_or_else(|| panic!("no table `{head}`")) + 2..].iter();
    let cells = |l: &&str| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
    rows.take_while(|l| l.starts_with('|')).map(cells).collect()
}

/// Lines of shell, those that end in `\` joined with the next.
pub fn logical(lines: &[String]) -> Vec<String> {
    let text = lines.join("\n").replace("\\\n", " ");
    text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// The paths of a tree drawn with lines, with what is said of each.
pub fn tree(lines: &[String]) -> Vec<(String, String)> {
    let (mut above, mut found) = (Vec::<&str>::new(), Vec::new());
    for line in lines {
        let name = line.trim_start_matches(|c| "│├└─\u{a0} ".contains(c));
        let depth = (line.chars().count() - name.chars().count()) / 4;
        let (name, about) = name.split_once("  ").unwrap_or((name, ""));
        above.truncate(depth);
        assert_eq!(above.len(), depth, "a folder is missing above: {line}");
        above.push(name);
        found.push((above.concat(), about.trim().to_owned()));
    }
    found
}

#[test]
fn blocks_spans_links_and_trees_are_found() {
    let text = "# A `b` c!\n\nsee `x`, [y](z.md#a-b-c)\n\n    one \\\n      two\n\n```toml\nk = 1\n```\n- item\n    no block\n";
    let (blocks, rest) = split(text);
    let block = |language: &str, lines: &[&str]| Block {
        language: language.into(),
        lines: lines.iter().map(|l| (*l).into()).collect(),
    };
    assert_eq!(blocks, [block("", &["one \\", "  two"]), block("toml", &["k = 1"])]);
    assert_eq!(logical(&blocks[0].lines), ["one    two"]);
    assert_eq!((spans(&rest), links(&rest)), (vec!["b".into(), "x".into()], vec!["z.md#a-b-c".into()]));
    assert_eq!(anchors(&rest), ["a-b-c"]);
    let drawn = ["a/", "├── b/", "│   └── c  3 × 4", "└── d"].map(str::to_owned);
    let paths: Vec<_> = tree(&drawn).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["a/", "a/b/", "a/b/c", "a/d"]);
    assert_eq!(table(&["| k | v |", "| --- | --- |", "| 1 | 2 |", ""], "k"), [["1", "2"]]);
}
