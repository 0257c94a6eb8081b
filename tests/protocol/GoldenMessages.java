import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import org.apache.cassandra.config.DatabaseDescriptor;
import org.apache.cassandra.cql3.ColumnIdentifier;
import org.apache.cassandra.cql3.ColumnSpecification;
import org.apache.cassandra.cql3.FieldIdentifier;
import org.apache.cassandra.cql3.QueryOptions;
import org.apache.cassandra.cql3.ResultSet;
import org.apache.cassandra.cql3.functions.FunctionName;
import org.apache.cassandra.cql3.statements.BatchStatement;
import org.apache.cassandra.db.ConsistencyLevel;
import org.apache.cassandra.db.WriteType;
import org.apache.cassandra.db.marshal.*;
import org.apache.cassandra.exceptions.*;
import org.apache.cassandra.locator.InetAddressAndPort;
import org.apache.cassandra.service.pager.PagingState;
import org.apache.cassandra.transport.Envelope;
import org.apache.cassandra.transport.Event;
import org.apache.cassandra.transport.Message;
import org.apache.cassandra.transport.ProtocolVersion;
import org.apache.cassandra.transport.messages.*;
import org.apache.cassandra.utils.MD5Digest;
import org.apache.cassandra.utils.TimeUUID;

/**
 * Encodes messages by Cassandra's own classes and prints one a line: version, name, the frame in hexadecimal.
 * Run by capture_golden.py: java -cp 'lib/*' GoldenMessages.java
 */
public class GoldenMessages {
    static final MD5Digest ID = MD5Digest.wrap(HexFormat.of().parseHex("000102030405060708090a0b0c0d0e0f"));
    static final MD5Digest METADATA_ID = MD5Digest.wrap(HexFormat.of().parseHex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"));
    static final PagingState PAGING_STATE = new PagingState(bytes("key"), null, 7, 7);

    public static void main(String[] arguments) throws Exception {
        DatabaseDescriptor.clientInitialization();
        for (ProtocolVersion version : List.of(ProtocolVersion.V3, ProtocolVersion.V4, ProtocolVersion.V5)) {
            print(version, "paging-state", PAGING_STATE.serialize(version));
            requests(version);
            results(version);
            events(version);
            errors(version);
            if (version.isGreaterOrEqualTo(ProtocolVersion.V4)) {
                sinceV4(version);
            }
        }
    }

    static void requests(ProtocolVersion version) throws Exception {
        Map<String, String> options = new LinkedHashMap<>();
        options.put("CQL_VERSION", "3.0.0");
        options.put("COMPRESSION", "lz4");
        print(version, "request-startup", new StartupMessage(options));
        print(version, "request-options", new OptionsMessage());
        print(version, "request-auth-response", new AuthResponse("\0user\0word".getBytes(UTF_8)));
        print(version, "request-register", new RegisterMessage(
            List.of(Event.Type.TOPOLOGY_CHANGE, Event.Type.STATUS_CHANGE, Event.Type.SCHEMA_CHANGE)));
        print(version, "request-prepare", new PrepareMessage("SELECT 'é'", null));
        print(version, "request-query-bare", new QueryMessage("SELECT 1", bare(version)));
        print(version, "request-query-full", new QueryMessage("SELECT 1", full(version)));
        print(version, "request-execute", new ExecuteMessage(ID, METADATA_ID, full(version)));
        List<Object> statements = List.of("INSERT", ID);
        List<List<ByteBuffer>> values = List.of(List.of(), Arrays.asList(bytes("x"), null));
        QueryOptions batch = QueryOptions.create(
            ConsistencyLevel.QUORUM, List.of(), false, -1, null, ConsistencyLevel.LOCAL_SERIAL, version, null,
            1234567890123456L, Long.MIN_VALUE);
        print(version, "request-batch", new BatchMessage(BatchStatement.Type.UNLOGGED, statements, values, batch));
        if (version.isGreaterOrEqualTo(ProtocolVersion.V5)) {
            print(version, "request-prepare-keyspace", new PrepareMessage("SELECT 1", "ks"));
        }
    }

    static QueryOptions bare(ProtocolVersion version) {
        return QueryOptions.create(
            ConsistencyLevel.LOCAL_ONE, List.of(), false, -1, null, null, version, null, Long.MIN_VALUE,
            Long.MIN_VALUE);
    }

    /** Every option that a version has. (Unset values, which only clients send, these classes cannot encode.) */
    static QueryOptions full(ProtocolVersion version) {
        boolean v5 = version.isGreaterOrEqualTo(ProtocolVersion.V5);
        List<ByteBuffer> values = Arrays.asList(bytes("one"), null, ByteBuffer.allocate(0));
        return QueryOptions.create(
            ConsistencyLevel.EACH_QUORUM, values, true, 5000, PAGING_STATE, ConsistencyLevel.LOCAL_SERIAL, version,
            v5 ? "ks" : null, 1234567890123456L, v5 ? 1700000000 : Long.MIN_VALUE);
    }

    static void results(ProtocolVersion version) throws Exception {
        print(version, "auth-challenge", new AuthChallenge("next".getBytes(UTF_8)));
        print(version, "auth-success", new AuthSuccess("done".getBytes(UTF_8)));
        print(version, "auth-success-null", new AuthSuccess(null));
        ResultSet rows = new ResultSet(new ResultSet.ResultMetadata(METADATA_ID, everyType(version)));
        if (version.isGreaterOrEqualTo(ProtocolVersion.V5)) {
            rows.metadata.setMetadataChanged();
        }
        rows.metadata.setHasMorePages(PAGING_STATE);
        print(version, "rows-every-type", new ResultMessage.Rows(rows));
        ResultSet.PreparedMetadata bind =
            new ResultSet.PreparedMetadata(List.of(column("t", "b", Int32Type.instance), column("t", "a", UTF8Type.instance)),
                                           new short[] {1, 0});
        ResultSet.ResultMetadata joined = new ResultSet.ResultMetadata(
            List.of(column("t", "a", UTF8Type.instance), column("u", "a", UTF8Type.instance)));
        print(version, "prepared-two-tables", new ResultMessage.Prepared(ID, METADATA_ID, bind, joined));
    }

    static List<ColumnSpecification> everyType(ProtocolVersion version) {
        UserType address = new UserType(
            "ks", bytes("address"),
            List.of(FieldIdentifier.forUnquoted("street"), FieldIdentifier.forInternalString("No")),
            List.of(UTF8Type.instance, Int32Type.instance), false);
        Map<String, AbstractType<?>> types = new LinkedHashMap<>();
        for (AbstractType<?> type : List.of(
                 AsciiType.instance, LongType.instance, BytesType.instance, BooleanType.instance,
                 CounterColumnType.instance, DecimalType.instance, DoubleType.instance, FloatType.instance,
                 Int32Type.instance, TimestampType.instance, UUIDType.instance, UTF8Type.instance,
                 IntegerType.instance, TimeUUIDType.instance, InetAddressType.instance, SimpleDateType.instance,
                 TimeType.instance, ShortType.instance, ByteType.instance, DurationType.instance)) {
            types.put(type.asCQL3Type().toString(), type);
        }
        types.put("list", ListType.getInstance(Int32Type.instance, true));
        types.put("set", SetType.getInstance(UTF8Type.instance, true));
        types.put("map", MapType.getInstance(UTF8Type.instance, ListType.getInstance(address, false), true));
        types.put("tuple", new TupleType(List.of(Int32Type.instance, SetType.getInstance(UUIDType.instance, false))));
        types.put("udt", address);
        types.put("vector", VectorType.getInstance(FloatType.instance, 3));
        types.put("empty", EmptyType.instance);
        List<ColumnSpecification> columns = new ArrayList<>();
        types.forEach((name, type) -> columns.add(column("t", name, type)));
        return columns;
    }

    static ColumnSpecification column(String table, String name, AbstractType<?> type) {
        return new ColumnSpecification("ks", table, new ColumnIdentifier(name, true), type);
    }

    static void events(ProtocolVersion version) throws Exception {
        InetAddressAndPort v4 = address("10.1.2.3");
        InetAddressAndPort v6 = address("2001:db8::1");
        print(version, "event-new-node", new EventMessage(Event.TopologyChange.newNode(v4)));
        print(version, "event-removed-node", new EventMessage(Event.TopologyChange.removedNode(v6)));
        print(version, "event-up", new EventMessage(Event.StatusChange.nodeUp(v6)));
        print(version, "event-down", new EventMessage(Event.StatusChange.nodeDown(v4)));
        Event.SchemaChange.Change updated = Event.SchemaChange.Change.UPDATED;
        Event.SchemaChange.Change dropped = Event.SchemaChange.Change.DROPPED;
        print(version, "event-keyspace", new EventMessage(new Event.SchemaChange(dropped, "ks")));
        print(version, "event-table", new EventMessage(
            new Event.SchemaChange(updated, Event.SchemaChange.Target.TABLE, "ks", "t")));
        print(version, "event-type", new EventMessage(
            new Event.SchemaChange(updated, Event.SchemaChange.Target.TYPE, "ks", "address")));
    }

    static void errors(ProtocolVersion version) throws Exception {
        ConsistencyLevel quorum = ConsistencyLevel.QUORUM;
        Map<InetAddressAndPort, RequestFailureReason> reasons = new TreeMap<>();
        reasons.put(address("10.1.2.3"), RequestFailureReason.READ_TOO_MANY_TOMBSTONES);
        reasons.put(address("2001:db8::1"), RequestFailureReason.TIMEOUT);
        Map<String, Throwable> errors = new LinkedHashMap<>();
        errors.put("server", new RuntimeException("boom"));
        errors.put("protocol", new org.apache.cassandra.transport.ProtocolException("nonsense"));
        errors.put("bad-credentials", new AuthenticationException("who?"));
        errors.put("unavailable", UnavailableException.create(quorum, 2, 1));
        errors.put("overloaded", new OverloadedException("too much"));
        errors.put("is-bootstrapping", new IsBootstrappingException());
        errors.put("truncate", new TruncateException("no"));
        errors.put("write-timeout", new WriteTimeoutException(WriteType.BATCH_LOG, quorum, 1, 2));
        errors.put("cas-write-timeout", new CasWriteTimeoutException(WriteType.CAS, ConsistencyLevel.SERIAL, 1, 2, 5));
        errors.put("read-timeout", new ReadTimeoutException(quorum, 1, 2, true));
        errors.put("read-failure", new ReadFailureException(quorum, 1, 2, false, reasons));
        errors.put("write-failure", new WriteFailureException(quorum, 1, 2, WriteType.SIMPLE, reasons));
        errors.put("function-failure", FunctionExecutionException.create(
            new FunctionName("ks", "f"), List.of("int", "text"), "bad"));
        errors.put("cdc-write-failure", new CDCWriteException("full"));
        errors.put("cas-write-unknown", new CasWriteUnknownResultException(ConsistencyLevel.SERIAL, 1, 2));
        errors.put("syntax", new SyntaxException("line 1"));
        errors.put("unauthorized", new UnauthorizedException("you may not"));
        errors.put("invalid", new InvalidRequestException("not so"));
        errors.put("config", new ConfigurationException("unfit"));
        errors.put("already-exists-table", new AlreadyExistsException("ks", "t"));
        errors.put("already-exists-keyspace", new AlreadyExistsException("ks"));
        errors.put("unprepared", new PreparedQueryNotFoundException(ID));
        for (Map.Entry<String, Throwable> error : errors.entrySet()) {
            print(version, "error-" + error.getKey(), ErrorMessage.fromException(error.getValue()));
        }
    }

    /** What protocol v4 has added: functions, and extras before a message. */
    static void sinceV4(ProtocolVersion version) throws Exception {
        List<String> types = List.of("int", "text");
        Event.SchemaChange.Change created = Event.SchemaChange.Change.CREATED;
        print(version, "event-function", new EventMessage(
            new Event.SchemaChange(created, Event.SchemaChange.Target.FUNCTION, "ks", "f", types)));
        print(version, "event-aggregate", new EventMessage(
            new Event.SchemaChange(created, Event.SchemaChange.Target.AGGREGATE, "ks", "a", types)));
        Map<String, ByteBuffer> payload = new LinkedHashMap<>();
        payload.put("key", bytes("value"));
        payload.put("null", null);
        QueryMessage query = new QueryMessage("SELECT 1", bare(version));
        query.setCustomPayload(payload);
        print(version, "request-query-payload", query);
        ResultMessage.Void extras = new ResultMessage.Void();
        var setTracingId = Message.Response.class.getDeclaredMethod("setTracingId", TimeUUID.class);
        setTracingId.setAccessible(true);
        setTracingId.invoke(extras, TimeUUID.fromString("12345678-1234-1234-8234-123456789abc"));
        extras.setWarnings(List.of("careful", "slow"));
        extras.setCustomPayload(payload);
        print(version, "void-with-extras", extras);
    }

    static InetAddressAndPort address(String text) throws Exception {
        return InetAddressAndPort.getByAddressOverrideDefaults(InetAddress.getByName(text), 9042);
    }

    static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(text.getBytes(UTF_8));
    }

    static void print(ProtocolVersion version, String name, Message message) {
        message.setStreamId(message instanceof EventMessage ? -1 : 259);
        Envelope frame = message.encode(version);
        ByteBuffer buffer = ByteBuffer.allocate((int) (Envelope.Header.LENGTH + frame.header.bodySizeInBytes));
        frame.encodeInto(buffer);
        buffer.flip();
        print(version, name, buffer);
    }

    static void print(ProtocolVersion version, String name, ByteBuffer buffer) {
        byte[] content = new byte[buffer.remaining()];
        buffer.duplicate().get(content);
        System.out.println("v" + version.asInt() + " " + name + " " + HexFormat.of().formatHex(content));
    }
}
