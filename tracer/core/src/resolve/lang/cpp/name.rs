//! Names of C++ types as programmers write them: without what every use of a class has by default,
//! and without the namespaces that are for the linker only.

/// Arguments that a template of the standard library has by default, where they begin so.
const DEFAULTS: [&str; 6] = [
    "std::allocator<",
    "std::char_traits<",
    "std::default_delete<",
    "std::equal_to<",
    "std::hash<",
    "std::less<",
];
/// What nobody writes, and what is written instead.
const WORDS: [(&str, &str); 5] = [
    ("std::__cxx11::", "std::"),
    ("std::__1::", "std::"),
    ("std::basic_string<char>", "std::string"),
    ("std::basic_string_view<char>", "std::string_view"),
    (" >", ">"),
];

/// The name in short.
pub fn short(name: &str) -> String {
    if !name.contains("std::") {
        return name.to_owned();
    }
    let mut name = name.replace(WORDS[0].0, WORDS[0].1).replace(WORDS[1].0, WORDS[1].1);
    while let Some((start, end)) = default_argument(&name) {
        name.replace_range(start..end, "");
    }
    for (long, short) in &WORDS[2..] {
        while name.contains(long) {
            name = name.replace(long, short);
        }
    }
    name
}

/// The range of an argument behind others that has its default, with the comma in front of it.
fn default_argument(name: &str) -> Option<(usize, usize)> {
    DEFAULTS.iter().find_map(|default| {
        let start = name.find(&format!(", {default}"))?;
        let mut depth = 0u32;
        for (at, byte) in name.bytes().enumerate().skip(start) {
            match byte {
                b'<' => depth += 1,
                b'>' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        // A space may stand in front of the next bracket.
                        let end = at + 1;
                        let space = name.get(end..).is_some_and(|rest| rest.starts_with(" >"));
                        return Some((start, end + usize::from(space)));
                    }
                }
                _ => {}
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn defaults_are_left_out() {
        let text =
            "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
        assert_eq!(short(text), "std::string");
        let map = format!(
            "const std::map<{text}, int, std::less<{text} >, std::allocator<std::pair<const {text}, int> > > *"
        );
        assert_eq!(short(&map), "const std::map<std::string, int> *");
        assert_eq!(short("std::__1::vector<int, mine<int> >"), "std::vector<int, mine<int>>");
        assert_eq!(short("std::allocator<int>"), "std::allocator<int>");
        assert_eq!(short("a<b<c> >"), "a<b<c> >");
        assert_eq!(short("f(std::less<"), "f(std::less<");
    }
}
