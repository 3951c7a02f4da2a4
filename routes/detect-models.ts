import type { FastifyInstance } from 'fastify'
import type { DetectorModel, SlotState } from '../src/detect/detection.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { LoadedDetectors } from './detect-schemas.ts'
import { answers } from './schemas.ts'

/** `GET /detect/models`. */
export function detectModelsRoute(app: FastifyInstance, { detect }: Strongroom): void {
  app.get(
    '/detect/models',
    {
      config: { access: 'detect' },
      schema: {
        operationId: 'detectModels',
        tags: ['detection'],
        summary: 'The detectors: what is loaded, on what it runs, how it was measured',
        description:
          'Primary first; none where no detector is configured. A slot that serves may have a problem too: what its ref leads to by now didn’t load, and the one before goes on.',
        response: answers({ 200: LoadedDetectors }, 401, 403),
      },
    },
    (_request, reply) => {
      reply.header('cache-control', 'no-store')
      return { items: detect.slots().map(tellSlot) }
    },
  )
}

const tellSlot = ({ slot, ref, percent, state, model, problem }: SlotState) => ({
  slot,
  ref,
  percent,
  state,
  problem:
    problem === undefined
      ? null
      : {
          why: problem.why,
          version: problem.version ?? null,
          revision: problem.revision ?? null,
          at: problem.at,
        },
  ...(model === undefined ? {} : tellModel(model)),
})

const tellModel = (model: DetectorModel) => ({
  checkpoint: model.checkpoint,
  version: model.version,
  revision: model.revision,
  sha256: model.sha256,
  provider: model.provider,
  fell_back: model.fellBack,
  description: model.description,
  languages: model.languages,
  reads_text: model.readsText,
  categories: model.categories,
  sae: {
    architecture: model.sae.architecture,
    d_model: model.sae.dModel,
    width: model.sae.width,
    kept_latents: model.sae.rows,
    k: model.sae.k ?? null,
  },
  classifiers: model.classifiers,
  scores: model.scores,
  loaded_at: model.loadedAt,
})
