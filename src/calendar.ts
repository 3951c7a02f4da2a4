/** Whether a text that begins YYYY-MM-DD names a day that there is: to Date.parse, 30 February is in March. */
export function namesRealDay(text: string): boolean {
  const day = text.slice(0, 10)
  const time = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day)
}
