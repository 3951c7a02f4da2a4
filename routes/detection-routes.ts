import type { FastifyInstance } from 'fastify'
import { createAllowance } from '../src/allowance.ts'
import type { DetectorModel } from '../src/detect/detection.ts'
import { RegistryError } from '../src/errors.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { countDetections } from './count-detections.ts'
import { detectActivationsRoute } from './detect-activations.ts'
import { takeBodies } from './detect-body.ts'
import { detectModelsRoute } from './detect-models.ts'
import { detectPiiRoute } from './detect-pii.ts'
import { detectRoute } from './detect.ts'
import { createAsk } from './detection.ts'
import { analyzeRoute, presidioListRoutes } from './presidio.ts'

const RETRY_AFTER_SECONDS = 5
/** Marks of a JSON text around its strings: more than any good request has beside its texts. */
const MAX_MARKS = 8192

/** All that asks a detector. */
export async function detectionRoutes(app: FastifyInstance, strongroom: Strongroom): Promise<void> {
  const { config, detect } = strongroom
  const maxBytes = config.MAX_DETECT_BODY_BYTES
  const memoryBytes = Math.max(config.DETECT_BODY_MEMORY_BYTES, maxBytes)
  const limits = {
    maxBytes,
    maxMarks: config.MAX_DETECT_TEXTS + MAX_MARKS,
    share: createAllowance(memoryBytes, RETRY_AFTER_SECONDS),
    windowMs: config.STALL_TIMEOUT_MS,
    minBytesPerSecond: config.MIN_UPLOAD_RATE,
  }
  const ask = createAsk(strongroom)

  /** @throws {RegistryError} DETECTOR_UNAVAILABLE */
  function textModel(): DetectorModel {
    const found = detect.slots().find(({ model }) => model?.readsText === true)?.model
    if (found !== undefined) return found
    throw new RegistryError('DETECTOR_UNAVAILABLE', 'No detector that reads text serves now.', {
      why: 'no_detector',
    })
  }

  detectModelsRoute(app, strongroom)
  presidioListRoutes(app, textModel)
  await app.register((json, _options, registered) => {
    tellLimits(
      json,
      `At most ${config.MAX_DETECT_TEXTS} texts of at most ${config.MAX_DETECT_CODE_POINTS} code points each, in a body of at most ${maxBytes} bytes: more is refused with 413.`,
    )
    countDetections(json, detect)
    takeBodies(json, 'json', limits)
    detectRoute(json, ask)
    detectPiiRoute(json, ask)
    analyzeRoute(json, ask)
    registered()
  })
  await app.register((bytes, _options, registered) => {
    tellLimits(bytes, `A body has at most ${maxBytes} bytes: more is refused with 413.`)
    countDetections(bytes, detect)
    takeBodies(bytes, 'bytes', limits)
    detectActivationsRoute(bytes, ask)
    registered()
  })
}

/** Has the document say what the configuration allows on an instance's routes. */
function tellLimits(app: FastifyInstance, limits: string): void {
  app.addHook('onRoute', (route) => {
    const { description } = route.schema ?? {}
    const whole = description === undefined ? limits : `${description} ${limits}`
    route.schema = { ...route.schema, description: whole }
  })
}
