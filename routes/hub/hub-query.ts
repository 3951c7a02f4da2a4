import { Type } from 'typebox'

/** Python writes `True`, JavaScript `true`; what says anything else means no. */
export const YesOrNo = (description: string) => Type.Optional(Type.String({ description }))

export const isYes = (text: unknown): boolean => text === true || /^(?:true|1)$/i.test(String(text))

/** Of a page, which is no longer than this however much is asked for. */
const MOST = 1000
export const HubLimit = Type.Integer({ minimum: 1, default: MOST })
export const pageSize = (limit: number): number => Math.min(limit, MOST)
