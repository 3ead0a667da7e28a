//! What the filters read: enough for each to use much of its code, and to say more than a pipe
//! holds.

use std::fmt::Write as _;

/// What ripgrep looks for.
pub(super) const PATTERN: &str = r"(?i)order-[0-9]{2,3} (assam|sencha)\b.*\d g$";

/// For a shell: expansions, pipes, functions, here-documents, traps, arithmetic, children.
pub(super) fn shell() -> Vec<u8> {
    let script = r#"
greet() { local who=$1; shift; printf '%s: %s\n' "$who" "$*"; }
count=0
trap 'echo end $count' EXIT
while [ $count -lt 150 ]; do
    count=$((count + 1))
    case $((count % 3)) in
        0) tea=assam ;;
        1) tea=oolong ;;
        *) tea=${none:-sencha} ;;
    esac
    greet "$tea" "${tea%?}" "${tea#?}" "${#tea}" $((count * 7 % 13 << 2 | 1))
    [ $((count % 25)) -eq 0 ] && echo "child: $(greet sub "$count" | while read -r a b; do echo "$b $a"; done)"
    [ $((count % 50)) -eq 0 ] && (exit 3) || :
done
cat <<END
$count of $tea
END
for word in a b "c d" *.none; do set -- "$@" "$word"; done
echo "$# $*" | { read -r line; echo "[$line]"; }
eval 'echo evaluated "$count"'
umask; test -d / && echo folder
i=0; until [ $i -ge 200 ]; do i=$((i+1)); echo "line $i of the rest, which is long enough for a page"; done
"#;
    script.into()
}

/// For Python: classes, exceptions, generators, text, numbers, regular expressions, sorting.
pub(super) fn python() -> Vec<u8> {
    let script = r#"
import re, json, hashlib, math, collections
class Order:
    __slots__ = ("number", "tea", "grams")
    def __init__(self, number, tea, grams):
        self.number, self.tea, self.grams = number, tea, grams
    def price(self):
        if self.grams % 17 == 0:
            raise ValueError(self.number)
        return self.grams * {"assam": 4.5, "oolong": 7, "sencha": 12.25}[self.tea] / 100
def orders(count):
    for number in range(count):
        yield Order(number ** 5, ("assam", "oolong", "sencha")[number % 3], 50 + number)
totals = collections.defaultdict(float)
for order in orders(400):
    try:
        totals[order.tea] += order.price()
    except ValueError as error:
        totals["none"] += len(str(error))
print(json.dumps(totals, sort_keys=True, indent=1))
words = re.findall(r"[a-z]+(?=\d)", " ".join("tea%d x" % n for n in range(300)))
print(len(words), hashlib.sha256("".join(words).encode()).hexdigest())
print(sorted({str(n): n for n in range(300)}.items(), key=lambda item: item[0][::-1])[:5])
print(f"{math.sin(1):.12f} {2 ** 200} {0.1 + 0.2!r} {'%08.3f' % math.e} {3 / 7:e}")
fib = lambda n: n if n < 2 else fib(n - 1) + fib(n - 2)
print(fib(15), sum(i * i for i in range(2000)), bytes(range(40)).hex(), "\u00e9".upper())
for line in range(300):
    print("line", line, "of the rest, which is long enough for a page", line * 1.25)
"#;
    script.into()
}

/// For a C compiler: a file of many small functions of different kinds.
pub(super) fn c() -> Vec<u8> {
    let mut source = String::from(
        "typedef unsigned long size_t;\nstruct node { struct node *next; int key; double weight; \
         char name[16]; };\nextern int printf(const char *, ...);\n",
    );
    for n in 0..25 {
        // A String takes all that is written.
        write!(
            source,
            "static int weigh{n}(struct node *n, int limit) {{\n  int s = {n};\n  for (; n && s < \
             limit; n = n->next)\n    switch (n->key & 7) {{\n    case 0: s += n->key * 3; \
             break;\n    case 1: s -= (int)(n->weight / {n}.5); break;\n    case 2: \
             printf(\"%s %d\\n\", n->name, s); break;\n    case 5: s ^= n->name[s & 15] << 2; \
             break;\n    default: s++; }}\n  return s;\n}}\nvoid copy{n}(float *restrict to, const \
             float *from, size_t count) {{\n  for (size_t i = 0; i < count; i++) to[i] = from[i] \
             * {n}.25f + i;\n}}\nint use{n}(struct node *n) {{ return weigh{n}(n, 100) + \
             weigh{n}(n->next, {n}); }}\n"
        )
        .unwrap_or_default();
    }
    source.into()
}

/// For a database: tables, an index, a join, aggregates, text, a transaction, JSON.
pub(super) fn sql() -> Vec<u8> {
    let mut script = String::from(
        "create table orders(number integer primary key, tea text, grams integer, price real);\n\
         create index by_tea on orders(tea, grams);\nbegin;\n",
    );
    for n in 0..300 {
        let tea = ["assam", "oolong", "sencha"][n % 3];
        writeln!(script, "insert into orders values({n}, '{tea}', {}, {}.5);", n * 7919 % 997, n)
            .unwrap_or_default();
    }
    script.push_str(
        "commit;\nupdate orders set price = price * 1.1 where grams between 100 and 300;\n\
         delete from orders where number % 17 = 0;\n\
         select tea, count(*), sum(grams), round(avg(price), 3) from orders group by tea;\n\
         select a.number, b.number from orders a join orders b on a.grams = b.grams + 1 limit 20;\n\
         with recursive n(x) as (select 1 union all select x + 1 from n where x < 200)\n\
         select group_concat(x, '-') from n where x % 3 = 0;\n\
         select json_object('tea', upper(tea), 'l', length(tea)) from orders limit 5;\n\
         select printf('%08.3f|%s|%x', price, substr(tea, 2), number) from orders order by price;\n\
         select number, tea, replace(tea, 'a', 'e') from orders where tea like '%a%' order by tea;\n\
         .tables\nexplain query plan select * from orders where tea = 'x';\n\
         select * from orders;\n",
    );
    script.into()
}

/// For a formatter of Go: a file that is in need of it.
pub(super) fn go() -> Vec<u8> {
    let mut source = String::from("package tea\nimport (\"fmt\";\"errors\")\n");
    for n in 0..60 {
        write!(
            source,
            "// Brew{n} makes tea.\nfunc Brew{n}(cups int,kind string)(int,error){{\nif \
             cups<={n} {{ return 0,errors.New(\"few\") }}\nfor i:=0;i<cups;i++ {{\n switch kind {{ \
             case \"assam\":fmt.Println(i*{n}+1)\ndefault: go func(){{ fmt.Print(kind) }}() }} }}\n\
             m:=map[string]int{{\"a\":1,\"long key\":2}}\nreturn m[kind],nil }}\ntype Pot{n} \
             struct{{A int;LongName string `json:\"x\"`}}\n"
        )
        .unwrap_or_default();
    }
    source.into()
}

/// For a search.
pub(super) fn text() -> Vec<u8> {
    let line = |number: usize| {
        let tea = ["Assam", "oolong", "sencha"][number % 3];
        format!("{number:05} order-{} {tea} {} g\n", number * 7919 % 1000, 50 + number)
    };
    (0..3000).map(line).collect::<String>().into()
}
