/**
 * The rows of the handbook as it is printed, to be laid beside what is declared here: a row without a counterpart shows as
 * missing, which a list made from what is declared could not.
 */
import type { Incident } from './server/api-types.ts';

export interface RemediationRow {
  alert: string;
  action: string;
  verification: string;
}
/** §4.2, by its tables. */
export const remediation: Readonly<Record<string, readonly RemediationRow[]>> = {
  'Catalyst control plane': rows(`
    HighMemoryUsage | Scale up deployment | Check memory
    PodCrashLoopBackOff | Restart pod | Check pod status
    HighErrorRate | Trigger rollback | Check error rate
    DatabaseConnectionExhausted | Restart PgBouncer | Check connections
    CertificateExpiringSoon | Trigger renewal | Check expiry
    HighLatency | Scale service | Check latency
    GslbEndpointDown | Check k8gb status | Verify DNS
    OpenBaoSealed | Auto-unseal | Check unseal status
    JetstreamLagHigh | Add JetStream consumer replica | Check consumer lag`),
  'AI Hub': rows(`
    VLLMHighLatency | Scale vLLM replicas | Check inference latency
    VLLMOOMKilled | Reduce batch size | Check memory
    GPUUtilizationLow | Scale down GPU pods | Check utilization
    GPUMemoryExhausted | Evict low-priority jobs | Check GPU memory
    MilvusQuerySlow | Rebuild index | Check query latency
    EmbeddingQueueBacklog | Scale BGE replicas | Check queue depth
    RAGRetrievalEmpty | Alert + log | Check retrieval quality
    LLMGatewayQuotaExhausted | Notify user | Check quota`),
  'Open Banking': rows(`
    KeycloakHighLatency | Scale Keycloak | Check auth latency
    QuotaServiceDown | Failover to backup | Check quota service
    BillingWebhookFailed | Retry with backoff | Check webhook status
    TPPCertExpiring | Alert sovereign-admin team | Check certificate`),
};

function rows(text: string): RemediationRow[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [alert = '', action = '', verification = ''] = line.split('|').map((cell) => cell.trim());
      return { alert, action, verification };
    });
}

export interface IncidentRow {
  /** Name of the IncidentType. */
  type: string;
  title: string;
  severity: Incident['severity'];
}
/** §13.2 and §13.3. */
export const incidentRows: Readonly<Record<string, readonly IncidentRow[]>> = {
  '§13.2 Catalyst-specific incidents': [
    { type: 'console-unreachable', title: 'Console unreachable', severity: 'P1' },
    { type: 'gitea-unreachable', title: 'Gitea unreachable', severity: 'P1' },
    { type: 'environment-controller-stuck', title: 'Environment-controller stuck', severity: 'P1' },
    { type: 'openbao-sealed', title: 'OpenBao sealed', severity: 'P1' },
    { type: 'jetstream-consumer-lag', title: 'JetStream consumer lag', severity: 'P2' },
    { type: 'projector-lag', title: 'projector lag', severity: 'P2' },
    { type: 'vcluster-down', title: 'Per-Org vcluster down', severity: 'P2' },
    { type: 'flux-reconciliation-stalled', title: 'Flux reconciliation stalled', severity: 'P2' },
    { type: 'sovereign-provisioning-failed', title: 'New Sovereign provisioning failed', severity: 'P3' },
  ],
  '§13.3 AI Hub incidents': [
    { type: 'vllm-not-responding', title: 'vLLM not responding', severity: 'P1' },
    { type: 'gpu-oom', title: 'GPU OOM', severity: 'P2' },
    { type: 'milvus-query-timeout', title: 'Milvus query timeout', severity: 'P2' },
    { type: 'embedding-service-down', title: 'Embedding service down', severity: 'P2' },
    { type: 'rag-returning-empty', title: 'RAG returning empty', severity: 'P3' },
  ],
};
