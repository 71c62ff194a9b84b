// What the page says, in the reader's language: every sentence stands in the tables of sentences/.

export const LANGUAGES = { en: "English", de: "Deutsch", ko: "한국어", zh: "简体中文" };

const KEPT = "realdrag-language";

function chosen() {
  let wanted = [...navigator.languages];
  try {
    wanted = [localStorage.getItem(KEPT), ...wanted].filter(Boolean);
  } catch { /* nothing may be kept here */ }
  for (const each of wanted) {
    const short = each.slice(0, 2).toLowerCase();
    if (short in LANGUAGES) return short;
  }
  return "en";
}

export const language = chosen();
document.documentElement.lang = language === "zh" ? "zh-Hans" : language;

const table = (await import(`./sentences/${language}.js`)).default;
const plural = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const changes = new Intl.NumberFormat(language, { signDisplay: "exceptZero" });
const lists = new Intl.ListFormat(language, { type: "conjunction" });

/** Show the page in another language from now on. @param {string} next */
export function speak(next) {
  try {
    localStorage.setItem(KEPT, next);
  } catch { /* it lasts as long as the page */ }
  location.reload();
}

/**
 * Say a sentence of the table; {names} in it are replaced. `count` chooses between singular and plural.
 * @param {string} key @param {Record<string, any>} [values]
 */
export function say(key, values = {}) {
  const entry = table[key];
  if (entry === undefined) throw new Error(`there is no sentence ${key}`);
  const text = typeof entry === "string" ? entry : entry[plural.select(values.count)] ?? entry.other;
  const said = text.replace(/\{(\w+)\}/g, (_whole, name) => shown(values[name]));
  return said.replace(/\.\.$/, "."); // an abbreviation ends its sentence, too
}

/** Whether the table has a sentence. @param {string} key */
export const canSay = (key) => key in table;

function shown(value) {
  if (typeof value === "number") return numbers.format(value);
  if (Array.isArray(value)) return lists.format(value);
  return String(value);
}

/** A number with its sign. @param {number} value */
export const signed = (value) => changes.format(value);

/** A time, as people say it. @param {number} seconds */
export function duration(seconds) {
  const unit = (value, name) => new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short" }).format(value);
  const whole = Math.max(Math.ceil(seconds), 1);
  if (whole < 60) return unit(whole, "second");
  return `${unit(Math.floor(whole / 60), "minute")} ${unit(whole % 60, "second")}`;
}
