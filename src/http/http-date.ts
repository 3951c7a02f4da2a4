// HTTP dates, RFC 9110 §5.6.7: one form that is sent, two obsolete ones that must still be read.

const RFC_850 =
  /^(Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day, ([0-9]{2})-([A-Z][a-z]{2})-([0-9]{2}) ([0-9:]{8}) GMT$/
const ASCTIME = /^([A-Z][a-z]{2}) ([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9:]{8}) ([0-9]{4})$/

/** `Wednesday, 09-Nov-94 08:49:37 GMT` is the longest; what is longer is no date, and isn't looked at. */
const MAX_CHARACTERS = 33

/** An IMF-fixdate is what `toUTCString` gives: one that comes back unchanged was strictly one, weekday included. */
function parseImfFixdate(text: string): Date | undefined {
  const date = new Date(text)
  return Number.isFinite(date.getTime()) && date.toUTCString() === text ? date : undefined
}

function isOver50YearsAhead(date: Date, now: Date): boolean {
  const limit = new Date(now)
  limit.setUTCFullYear(limit.getUTCFullYear() + 50)
  return date > limit
}

function parseRfc850(text: string, now: Date): Date | undefined {
  const match = RFC_850.exec(text)
  if (match === null) return undefined
  const [, weekday = '', day = '', month = '', twoDigits = '', time = ''] = match
  const inYear = (year: number) => `${day} ${month} ${year} ${time} GMT`
  const year = Math.floor(now.getUTCFullYear() / 100) * 100 + Number(twoDigits)
  const chosen = isOver50YearsAhead(new Date(inYear(year)), now) ? year - 100 : year
  return parseImfFixdate(`${weekday.slice(0, 3)}, ${inYear(chosen)}`)
}

function parseAsctime(text: string): Date | undefined {
  const match = ASCTIME.exec(text)
  if (match === null) return undefined
  const [, weekday = '', month = '', day = '', time = '', year = ''] = match
  return parseImfFixdate(`${weekday}, ${day.replace(' ', '0')} ${month} ${year} ${time} GMT`)
}

/**
 * Undefined for what is no HTTP date. `now` decides the century of an rfc850-date: one more than 50 years ahead is
 * the last year past with those two digits.
 */
export function parseHttpDate(text: string, now: Date = new Date()): Date | undefined {
  if (text.length > MAX_CHARACTERS) return undefined
  return parseImfFixdate(text) ?? parseRfc850(text, now) ?? parseAsctime(text)
}
