//! What the programs are given to do.

/// Work for Python: attributes, dictionaries, numbers, text. It waits again when it is done, so
/// that nothing is hit later.
pub const PYTHON: &str = r#"
import sys
class Order:
    def __init__(self, number, tea, grams):
        self.number = number
        self.tea = tea
        self.grams = grams
    def price(self):
        return self.grams * PRICES[self.tea] / 100
PRICES = {"assam": 4.5, "oolong": 7, "sencha": 12.25}
print("ready", flush=True)
sys.stdin.readline()
totals = {}
for number in range(60):
    tea = ("assam", "oolong", "sencha")[number % 3]
    order = Order(number * 10**12, tea, 50 + number)
    totals[order.tea] = totals.get(order.tea, 0) + order.price()
lines = ["%s: %.2f" % (tea.upper(), total) for tea, total in sorted(totals.items())]
print("done 1", flush=True)
sys.stdin.readline()
"#;

/// Work for memcached: each command with the line that ends its answer.
pub const MEMCACHED: &[(&str, &str)] = &[
    ("set tea:assam 5 0 5\r\n450.0\r\n", "STORED"),
    ("set orders 0 0 2\r\n41\r\n", "STORED"),
    ("add tea:oolong 7 0 12\r\n700 per kilo\r\n", "STORED"),
    ("add tea:oolong 7 0 1\r\n8\r\n", "NOT_STORED"),
    ("get tea:assam tea:none tea:oolong\r\n", "END"),
    ("incr orders 1\r\n", "42"),
    ("incr orders 1000\r\n", "1042"),
    ("decr orders 43\r\n", "999"),
    ("append tea:assam 0 0 4\r\n EUR\r\n", "STORED"),
    ("prepend tea:assam 0 0 2\r\n> \r\n", "STORED"),
    ("replace tea:none 0 0 1\r\nx\r\n", "NOT_STORED"),
    ("incr tea:none 1\r\n", "NOT_FOUND"),
    ("gets tea:assam orders\r\n", "END"),
    ("delete orders\r\n", "DELETED"),
];

/// What ripgrep looks for.
pub const PATTERN: &str = "order-[0-9]+ (assam|sencha)";

/// Work for ripgrep, and for lzip: a text of which some lines match.
pub fn ripgrep() -> String {
    let line = |number: usize| {
        let tea = ["assam", "oolong", "sencha"][number % 3];
        format!("{number:04} order-{} {tea} {} g\n", number * 7919 % 1000, 50 + number)
    };
    (0..400).map(line).collect()
}

/// Work for Lua: tables, text, closures, coroutines, errors, collected garbage.
pub fn lua() -> String {
    r##"
local Order = {}
Order.__index = Order
function Order.new(number, tea, grams)
  return setmetatable({ number = number, tea = tea, grams = grams }, Order)
end
local prices = { assam = 4.5, oolong = 7, sencha = 12.25 }
function Order:price() return self.grams * prices[self.tea] / 100 end
local function orders(count)
  return coroutine.wrap(function()
    local teas = { "assam", "oolong", "sencha" }
    for number = 1, count do
      coroutine.yield(Order.new(number << 20, teas[number % 3 + 1], 50 + number))
    end
  end)
end
local totals, lines = {}, {}
for order in orders(60) do
  totals[order.tea] = (totals[order.tea] or 0) + order:price()
  lines[#lines + 1] = ("%d %s %.2f"):format(order.number, order.tea:upper(), order:price())
end
table.sort(lines, function(a, b) return a > b end)
print(table.concat(lines, "\n"))
for tea, total in pairs(totals) do io.write(tea, " ", total // 1, "\n") end
print(pcall(function() error({ code = #lines }) end))
print(select("#", string.byte("assam", 1, -1)), ("order-17 assam"):match("(%a+)-(%d+)"))
print(math.tointeger(3.0), 7 // 2, 7.5 % 2, 2^10, tostring(nil), #"tea", ("x"):rep(20, ","))
print(load("return 1 + ...")(41), utf8.char(228, 8364), ("a,b;c"):gsub("[,;]", "/"))
collectgarbage()
"##
    .to_owned()
}

/// Work for ninja: a manifest with variables, pools, phony and default targets.
pub fn ninja() -> String {
    let mut text = String::from(
        "cc = gcc\nflags = -O2 $extra\npool link\n  depth = 1\n\
         rule gen\n  command = touch $out\n\
         rule cc\n  command = $cc $flags -c $in -o $out\n  description = CC $out\n\
         rule ld\n  command = $cc -o $out $in\n  pool = link\n\
         build all.h: gen\n",
    );
    let mut objects = String::new();
    for number in 0..30 {
        let tea = ["assam", "oolong", "sencha"][number % 3];
        let source = format!("src/{tea}_with_a_longer_name_{number}");
        text += &format!("build {source}.c: gen\nbuild {source}.o: cc {source}.c | all.h\n");
        if number % 3 == 0 {
            text += "  flags = -g ${extra} $flags\n";
        }
        objects += &format!(" $\n    {source}.o");
    }
    text += &format!("build prog: ld{objects} || all.h\nbuild all: phony prog\ndefault all\n");
    text
}
